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

OWN_PATHS = ("/v1/decisions", "/v1/outcomes", "/v1/feedback", "/v1/savings", "/v1/status", "/v1/points")
"""Under `/v1`, what is never an upstream's"""


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


class RequestMiddleware:
    """Hands a request on with its whole body, or refuses it.

    gateway: takes what is under `/v1` and is none of AEGIS's own paths, past the application's layers, which take
    time; its bodies may have `gateway_bytes`.
    """

    def __init__(
        self,
        app: ASGIApp,
        gateway: ASGIApp | None,
        limits: LimitConfig,
        sites: SiteCheck,
        metrics: Metrics,
        gateway_bytes: int,
    ) -> None:
        self._app = app
        self._gateway = gateway
        self._gateway_bytes = gateway_bytes
        self._limits = limits
        self._sites = sites
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, passed = time.perf_counter(), 500, False
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
            app = self._app
            if self._gateway is not None and _passes(scope["path"]):
                app, passed = self._gateway, True
            body = await self._read(self._gateway_bytes if passed else self._limits.max_body_bytes, headers, receive)
            await app(scope, replay(body, receive), watch)
        except Refusal as refusal:
            await _answer(refusal, watch)
        except _ClientLeftError:
            status = 499
        finally:
            route = "gateway" if passed else getattr(scope.get("route"), "path", "other")
            self._metrics.note_request(route, status, time.perf_counter() - began)

    async def _read(self, most: int, headers: Mapping[bytes, str], receive: Receive) -> bytes:
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


def _passes(path: str) -> bool:
    return path.startswith("/v1/") and not path.startswith(OWN_PATHS)


class _ClientLeftError(Exception):
    """The client hung up before its request was whole."""


def _too_long(most: int) -> Refusal:
    return Refusal(413, "long_body", f"the body is longer than {most:,} bytes, this server's limit")


def replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a request's whole body as one message, then what comes after it."""
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
