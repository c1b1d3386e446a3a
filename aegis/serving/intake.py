"""Takes a request in before anything looks at it: whose page sent it, how long its body is, how long it took.

ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aegis.serving.access import SiteCheck
from aegis.serving.metric import Metrics
from aegis.serving.setting import LimitConfig

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Refusal(Exception):
    """A request that is answered with an error. headers: of the answer."""

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})


def fault_body(kind: str, message: str) -> dict[str, dict[str, str]]:
    """Return the body of an answer with an error, in the form that clients of OpenAI's API read, too."""
    return {"error": {"type": kind, "message": message}}


class Intake:
    """Hands a request on with its whole body, or refuses it.

    large: the bytes that a body may have under some paths, by their beginning; else the limits' `max_body_bytes`.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: LimitConfig,
        sites: SiteCheck,
        metrics: Metrics,
        large: Mapping[str, int],
    ) -> None:
        self._app = app
        self._limits = limits
        self._sites = sites
        self._metrics = metrics
        self._large = large

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        scope.setdefault("state", {})["began"] = began

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            if why := self._sites.refusal(headers.get(b"host", ""), headers.get(b"origin")):
                raise Refusal(403, "other_site", why)
            body = await self._read(scope, headers, receive)
            await self._app(scope, _replay(body, receive), watch)
        except Refusal as refusal:
            await _answer(refusal, watch)
        except _ClientLeftError:
            status = 499
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.note_request(route, status, time.perf_counter() - began)

    async def _read(self, scope: Scope, headers: Mapping[bytes, str], receive: Receive) -> bytes:
        most = next((size for path, size in self._large.items() if scope["path"].startswith(path)), None)
        most = self._limits.max_body_bytes if most is None else most
        declared = headers.get(b"content-length", "0")
        if not declared.isdecimal() or int(declared[:20]) > most:
            raise _too_long(most)
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _ClientLeftError
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise _too_long(most)
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            seconds = self._limits.body_seconds
            raise Refusal(408, "slow_body", f"the body did not arrive within {seconds:g} s") from None


class _ClientLeftError(Exception):
    """The client hung up before its request was whole."""


def _too_long(most: int) -> Refusal:
    return Refusal(413, "long_body", f"the body is longer than {most:,} bytes, this server's limit")


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


async def _answer(refusal: Refusal, send: Send) -> None:
    body = json.dumps(fault_body(refusal.kind, str(refusal))).encode()
    named = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
