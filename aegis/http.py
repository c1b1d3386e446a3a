"""HTTP requests with time limits, growing pauses, `Retry-After`, a polite rate and bounded answers.

It knows no service: the caller interprets the answer.
"""

from __future__ import annotations

import contextlib
import email.utils
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aegis import __version__
from aegis.bounds import parse_json
from aegis.errors import RequestError
from aegis.packages import imports_explained
from aegis.rendering import clean_text

if TYPE_CHECKING:
    import tenacity

TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
USER_AGENT = f"aegis-hrm/{__version__}"
_SHOWN_BODY_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Manners:
    """How patient and how polite a client is."""

    timeout_seconds: float = 10.0
    """Time limit of each request, from connecting to the last byte: a server that drips bytes can't exceed it."""
    attempts: int = 3
    """Requests for an answer, the first included."""
    first_pause_seconds: float = 0.5
    """Pause before the second attempt; each further pause is about twice as long, with some randomness."""
    longest_pause_seconds: float = 30.0
    deadline_seconds: float = 60.0
    """Time limit of all attempts and pauses together. If a server asks for a longer pause, the request fails."""
    interval_seconds: float = 0.0
    """Least time between the starts of two requests."""
    max_body_bytes: int = 4_000_000


@dataclass(frozen=True, slots=True)
class Reply:
    """A response with a status below 400."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON; raises `RequestError` if it is not JSON."""
        try:
            return parse_json(self.body)
        except ValueError as error:
            raise RequestError(f"the answer is not JSON: {shown(self.body)!r}", self.status, self.body) from error


class Pace:
    """Keeps the starts of requests some seconds apart, whichever threads they come from.

    `across`, if set, takes those seconds and returns how long the requests of other processes make this one wait.
    """

    def __init__(
        self, interval_seconds: float, sleep: Callable[[float], None] = lambda seconds: time.sleep(seconds)
    ) -> None:
        self._interval_seconds = interval_seconds
        self._sleep = sleep
        self._turn = threading.Lock()
        self._next_start = 0.0
        self.across: Callable[[float], float] | None = None

    def wait(self) -> None:
        """Wait for the next turn."""
        with self._turn:
            others = self.across(self._interval_seconds) if self.across is not None else 0.0
            now = time.monotonic()
            start = max(now + others, self._next_start)
            self._next_start = start + self._interval_seconds
        if start > now:
            self._sleep(start - now)


class HttpClient:
    """Sends requests, and retries after a broken connection, a time-out, a 429 or a 5xx.

    `on_retry` gets a line before each pause. `is_final` takes a failing status and its body, and tells whether a retry
    is useless. Safe to use from several threads. Raises `MissingPackageError` without the extra `online`.
    """

    def __init__(
        self,
        manners: Manners | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        follow_redirects: bool = False,
        on_retry: Callable[[str], None] = lambda line: None,
        is_final: Callable[[int, bytes], bool] = lambda status, body: False,
        sleep: Callable[[float], None] = lambda seconds: time.sleep(seconds),
    ) -> None:
        self.manners = manners or Manners()
        self.on_retry = on_retry
        self._is_final = is_final
        self._sleep = sleep
        with imports_explained("asking a server"):
            import httpx2
            import tenacity  # noqa: F401
        self._client = httpx2.Client(
            headers={"User-Agent": USER_AGENT, **(headers or {})},
            follow_redirects=follow_redirects,
            timeout=self.manners.timeout_seconds,
        )
        self.pace = Pace(self.manners.interval_seconds, sleep)

    def request(self, method: str, url: str, *, params: Mapping[str, str] | None = None, document: Any = None) -> Reply:
        """Return the response to a request; `document` is sent as JSON.

        Raises `RequestError`, with the last status and body if there was a response, after the last attempt.
        """
        import tenacity

        manners = self.manners
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TransientError),
            stop=tenacity.stop_after_attempt(manners.attempts) | tenacity.stop_before_delay(manners.deadline_seconds),
            wait=self._pause,
            before_sleep=self._report,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._attempt, method, url, params, document)
        except _TransientError as error:
            tried = retrying.statistics.get("attempt_number", 1)
            asked = f", it asks for a pause of {error.retry_after:.0f} s" if error.retry_after is not None else ""
            reason = f"{error} (tried {tried} times{asked})"
            raise RequestError(reason, error.status, error.body) from error

    def close(self) -> None:
        """Close the open connections."""
        self._client.close()

    def _attempt(self, method: str, url: str, params: Mapping[str, str] | None, document: Any) -> Reply:
        import httpx2

        self.pace.wait()
        try:
            status, body, headers = self._exchange(method, url, params, document)
        except httpx2.TimeoutException as error:
            raise _TransientError(f"no answer within {self.manners.timeout_seconds:g} s") from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise RequestError(f"not an address: {clean_text(str(error))}") from error
        except httpx2.TooManyRedirects as error:
            raise RequestError("the redirects do not end") from error
        except httpx2.HTTPError as error:
            reason = clean_text(str(error)) or type(error).__name__
            raise _TransientError(f"can't be reached or broke off: {reason}") from error
        if 200 <= status < 300:
            return Reply(status, body)
        said = f"status {status}: {shown(body)}".rstrip(": ")
        if status in TRANSIENT_STATUSES and not self._is_final(status, body):
            raise _TransientError(said, status, body, _retry_after(headers.get("retry-after")))
        raise RequestError(said, status, body)

    def _exchange(
        self, method: str, url: str, params: Mapping[str, str] | None, document: Any
    ) -> tuple[int, bytes, Mapping[str, str]]:
        import httpx2

        ends_at = time.monotonic() + self.manners.timeout_seconds
        with self._client.stream(method, url, params=params, json=document) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > self.manners.max_body_bytes:
                    raise RequestError(f"the answer is longer than {self.manners.max_body_bytes} bytes")
                if time.monotonic() > ends_at:
                    raise httpx2.ReadTimeout("the answer drips in")
            return response.status_code, bytes(body), response.headers

    def _pause(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _TransientError) and error.retry_after is not None:
            return error.retry_after
        grown = self.manners.first_pause_seconds * 2.0 ** (state.attempt_number - 1)
        return min(grown, self.manners.longest_pause_seconds) * random.uniform(0.75, 1.25)

    def _report(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        attempt = f"attempt {state.attempt_number + 1} of {self.manners.attempts} in {state.upcoming_sleep:.1f} s"
        self.on_retry(f"{error}; {attempt}")


class _TransientError(Exception):
    """A failure that may be gone at the next attempt."""

    def __init__(
        self, message: str, status: int | None = None, body: bytes = b"", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = body
        self.retry_after = retry_after


def shown(body: bytes) -> str:
    """Return the start of an answer on one line, for an error's message."""
    return clean_text(body[: 4 * _SHOWN_BODY_CHARACTERS].decode("utf-8", "replace"), _SHOWN_BODY_CHARACTERS)


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header (RFC 9110, section 10.2.3), or None if it can't be read."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(min(int(value.strip()[:9]), 10**6))
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        moment = email.utils.parsedate_to_datetime(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    return None
