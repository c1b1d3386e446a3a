"""Whether a request may pass: its token, its rate, and how many are in progress."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from aegis.serving.access import TokenBook
from aegis.serving.metric import Metrics
from aegis.serving.middleware import Refusal
from aegis.serving.setting import LimitConfig

T = TypeVar("T")
_BEARER = HTTPBearer(auto_error=False, description="A token that `aegis token` made; none where none are configured")
_CALLERS = 10_000
"""Callers whose rate is remembered"""


class RateBook:
    """Requests per second of each caller: a bucket that holds one second's requests and refills steadily."""

    def __init__(self, per_second: float, now: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_seconds(self, caller: str) -> float:
        """Take a request of this caller; return 0, or the seconds after which the next one is taken."""
        now, most = self._now(), max(1.0, self._per_second)
        left, at = self._buckets.pop(caller, (most, now))
        left = min(most, left + (now - at) * self._per_second)
        taken = left >= 1
        self._buckets[caller] = (left - 1 if taken else left, now)
        if len(self._buckets) > _CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1 - left) / self._per_second


class Admission:
    """Lets requests in by token and rate, and works for as many at once as the limits say."""

    def __init__(self, tokens: TokenBook, limits: LimitConfig, metrics: Metrics) -> None:
        self._tokens = tokens
        self._rates = RateBook(limits.requests_per_second)
        self._limits = limits
        self._metrics = metrics
        self._waiting = 0
        self._workers = ThreadPoolExecutor(min(32, limits.max_waiting), "aegis-serve")

    def needs(self, scope: str) -> Any:
        """Return the dependency of a route that only bearers of a scope may ask; of everybody's where no tokens are."""

        async def check_rate(request: Request) -> None:
            self.check(scope, "", request.client.host if request.client else "")

        async def check(
            request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
        ) -> None:
            self.check(scope, given.credentials if given else "", request.client.host if request.client else "")

        return Security(check) if self._tokens else Depends(check_rate)

    def check(self, scope: str, secret: str, address: str) -> None:
        """Raise `Refusal` where a request may not pass. secret: of its token."""
        caller = address
        if self._tokens:
            token = self._tokens.find(secret)
            if token is None:
                unknown = "this token is not known here: check it, or make one with `aegis token NAME`"
                message = unknown if secret else "send Authorization: Bearer TOKEN"
                raise Refusal(401, "no_token", message, {"www-authenticate": "Bearer"})
            if scope not in token.scopes:
                raise Refusal(403, "scope", f"this token may not {scope}: `aegis token NAME --scope {scope}` makes one")
            caller = token.name
        wait = self._rates.wait_seconds(caller)
        if wait:
            rate = self._limits.requests_per_second
            raise Refusal(429, "rate", f"more than {rate:g} requests in a second", _retry_after(wait))

    def lets(self, scope: str, secret: str) -> bool:
        """Tell whether a token may do this; everybody may where there are no tokens."""
        token = self._tokens.find(secret) if self._tokens else None
        return not self._tokens or (token is not None and scope in token.scopes)

    async def work(self, job: Callable[[], T]) -> T:
        """Return what a job returns, from a thread.

        Raises as `wait` does.
        """
        return await self.wait(lambda: asyncio.get_running_loop().run_in_executor(self._workers, job))

    async def wait(self, begin: Callable[[], asyncio.Future[T]]) -> T:
        """Return what a future brings that `begin` returns.

        Raises `Refusal` where too many wait, or where it takes too long: its work then goes on by itself.
        """
        if self._waiting >= self._limits.max_waiting:
            raise Refusal(503, "busy", "too many requests are in progress: try again", _retry_after(1))
        self._waiting += 1
        self._metrics.in_progress.set(self._waiting)
        try:
            running = begin()
        except BaseException:
            self._waiting -= 1
            raise
        running.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(running), self._limits.decision_seconds)
        except TimeoutError:
            seconds = self._limits.decision_seconds
            raise Refusal(504, "slow", f"no decision within {seconds:g} s; it may be recorded later") from None

    def close(self) -> None:
        """Wait for what is in progress, and end the threads."""
        self._workers.shutdown()

    def _done(self, running: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        self._metrics.in_progress.set(self._waiting)
        if not running.cancelled():
            running.exception()  # of a job that nobody waits for any more


def _retry_after(seconds: float) -> dict[str, str]:
    return {"retry-after": str(max(1, round(seconds)))}
