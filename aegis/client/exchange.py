"""One request and its answer, as steps to carry out: what is sent, what is sent again, errors."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple

from aegis.errors import AegisError, ConfigError, DataError, NobodyDecidesError, RequestError, StoreError, TeacherError
from aegis.http import shown

_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0
_ERRORS: dict[int, type[AegisError]] = {
    **dict.fromkeys((400, 409, 413, 422), DataError),
    **dict.fromkeys((401, 403), ConfigError),
    404: StoreError,
    502: TeacherError,
}
_NOBODY = "nobody_decides"
_BUSY = (429, 503)
"""A server, or a proxy before it, that did not take a request on"""


class Request(NamedTuple):
    """What is sent: the method, the path, and for a POST the body as JSON."""

    method: str
    path: str
    body: bytes | None = None


Steps = Generator[Request | float | Callable[[], Any], Any, Any]
"""Yields what is next (a request, seconds to wait, a function to call) and is sent its result, e.g. a response"""


def make_post(path: str, fields: Mapping[str, Any]) -> Request:
    """Return a POST without the fields that are None; raises `DataError` for what is no JSON."""
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return Request("POST", path, json.dumps(given, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"what is sent must be JSON: {error}") from None


def exchange(request: Request, again: bool) -> Steps:
    """Return the body of an answer; raises what it says went wrong.

    What the server did not take on is sent again after a pause, which doubles: at most four times in all. again: also
    what it may have carried out already.
    """
    pause = _FIRST_PAUSE_SECONDS
    for attempts_left in reversed(range(_ATTEMPTS)):
        answer = yield request
        if not isinstance(answer, Exception) and answer.status_code < 300:
            return _read(answer)
        wait = _pause_before_next(answer, again, pause * random.uniform(0.75, 1.25))
        if not attempts_left or wait is None:
            raise _make_error(answer)
        yield wait
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    raise AssertionError("the last attempt returns or raises")


def _pause_before_next(answer: Any, again: bool, pause: float) -> float | None:
    """Return the seconds before the same request is worth another attempt; None where it is not."""
    import httpx2

    if isinstance(answer, Exception):
        return pause if again or isinstance(answer, (httpx2.ConnectError, httpx2.ConnectTimeout)) else None
    asked = answer.headers.get("retry-after", "")
    if asked.isdecimal():
        return max(pause, float(asked)) if float(asked) <= _LONGEST_PAUSE_SECONDS else None
    return pause if answer.status_code in _BUSY and _fault(answer).get("type") != _NOBODY else None


def _read(answer: Any) -> Mapping[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        raise RequestError(
            f"the answer is none of `aegis serve`: {shown(answer.content)}: check url", answer.status_code
        )
    return found


def _make_error(answer: Any) -> AegisError:
    import httpx2

    if isinstance(answer, httpx2.TimeoutException):
        why = str(answer) or type(answer).__name__
        return RequestError(f"the server did not answer in time ({why}): give the client more timeout_seconds")
    if isinstance(answer, Exception):
        why = str(answer) or type(answer).__name__
        return RequestError(f"the server can't be reached or broke off: {why}: check url, and whether it runs")
    fault = _fault(answer)
    message = str(fault.get("message") or f"status {answer.status_code}: {shown(answer.content)}")
    if fault.get("type") == _NOBODY:
        return NobodyDecidesError(message, fault.get("actions") or ())
    if answer.status_code in _ERRORS:
        return _ERRORS[answer.status_code](message)
    return RequestError(message, answer.status_code, answer.content)


def _fault(answer: Any) -> Mapping[str, Any]:
    """Return what an answer says went wrong; empty where it is none of AEGIS's."""
    try:
        fault = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return fault if isinstance(fault, Mapping) else {}
