"""A request to its upstream and the answer back, byte for byte: errors, streams and headers as the upstream sent them.

Headers of one connection are left out in both directions (RFC 9110, section 7.6.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import json
import os
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import httpcore2

from aegis.serving.admission import Admission
from aegis.serving.gateway.choice import Asked, read_choice
from aegis.serving.gateway.recording import Exchange, Recording
from aegis.serving.metric import Metrics
from aegis.serving.middleware import Refusal
from aegis.serving.setting import GatewayConfig, UpstreamConfig

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding"
    b" upgrade".split()
)
_OWN = (b"host", b"content-length", b"expect")
"""Headers that the gateway writes itself"""
_CHAT = "/v1/chat/completions"
_PREFIX = b"/v1"
Headers = list[tuple[bytes, bytes]]


class _Passed(NamedTuple):
    """A request on its way."""

    scope: Scope
    body: bytes
    upstream: UpstreamConfig
    sent_at: float


class Gateway:
    """An ASGI application that hands every request under `/v1` to an upstream."""

    def __init__(self, config: GatewayConfig, admission: Admission, recording: Recording, metrics: Metrics) -> None:
        self._config = config
        self._admission = admission
        self._recording = recording
        self._metrics = metrics
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpcore2.default_ssl_context(), max_connections=None, keepalive_expiry=config.idle_seconds
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request; ends it at the upstream, too, where the client hangs up."""
        body = (await receive())["body"]
        passing = asyncio.ensure_future(self._pass(scope, body, send))
        leaving = asyncio.ensure_future(_client_leaves(receive))
        try:
            await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not passing.done():
                passing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await passing
        finally:
            passing.cancel()
            leaving.cancel()

    async def close(self) -> None:
        """Record what waits, and close the connections."""
        await asyncio.to_thread(self._recording.close, self._config.close_seconds)
        await self._pool.aclose()

    async def _pass(self, scope: Scope, body: bytes, send: Send) -> None:
        upstream = self._choose(body)
        headers = self._headers_to(scope, body, upstream)
        request = httpcore2.Request(
            scope["method"],
            _target(upstream.url, scope),
            headers=headers,
            content=body or None,
            extensions={"timeout": self._timeouts()},
        )
        sent_at = time.perf_counter()
        waiting = asyncio.ensure_future(self._pool.handle_async_request(request))
        try:
            await asyncio.sleep(0)  # the request goes out first
            asked = _ask(scope, body)
            response = await waiting
        except httpcore2.TimeoutException as error:
            raise Refusal(504, "upstream", f"{upstream.url} does not answer in time ({type(error).__name__})") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise Refusal(
                502, "upstream", f"{upstream.url} can't be reached: {error or type(error).__name__}"
            ) from None
        finally:
            waiting.cancel()
        try:
            await self._hand_back(_Passed(scope, body, upstream, sent_at), response, asked, send)
        finally:
            await response.aclose()

    async def _hand_back(self, passed: _Passed, response: httpcore2.Response, asked: Asked | None, send: Send) -> None:
        came_at = time.perf_counter()
        headers = _end_to_end(response.headers)
        if asked is not None and response.status == 200:
            headers += [(b"x-aegis-policy", _shown(asked.model))]
            point, id = next(iter(asked.ids.items()))
            headers += [(b"x-aegis-point", point.encode()), (b"x-aegis-decision", id.encode())]
        overhead = passed.sent_at - passed.scope["state"]["began"] + time.perf_counter() - came_at
        self._metrics.note_overhead(overhead)
        headers.append((b"x-aegis-overhead-ms", f"{1000 * overhead:.2f}".encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        kept, most = bytearray(), self._config.max_recorded_bytes
        try:
            async for chunk in response.aiter_stream():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if asked is not None and len(kept) <= most:
                    kept += chunk
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException):
            return  # without an end: the server breaks the connection off, as the upstream did
        await send({"type": "http.response.body", "body": b""})
        if asked is not None and response.status == 200 and len(kept) <= most:
            named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            self._recording.put(Exchange(asked, passed.upstream.url, named, bytes(kept)))

    def _choose(self, body: bytes) -> UpstreamConfig:
        """Return the first upstream that takes the request's model, else the last one."""
        upstreams = self._config.upstreams
        if len(upstreams) > 1:
            model = _model(body)
            for upstream in upstreams:
                if any(fnmatch.fnmatchcase(model, pattern) for pattern in upstream.models):
                    return upstream
        return upstreams[-1]

    def _headers_to(self, scope: Scope, body: bytes, upstream: UpstreamConfig) -> Headers:
        own = (*_OWN, b"authorization") if upstream.key_variable else _OWN
        given = [(name, value) for name, value in scope["headers"] if not name.startswith(b"x-aegis-")]
        headers = [(b"host", urlsplit(upstream.url).netloc.rpartition("@")[2].encode())]
        headers += [(name, value) for name, value in _end_to_end(given) if name not in own]
        if body or scope["method"] in ("POST", "PUT", "PATCH"):
            headers.append((b"content-length", str(len(body)).encode()))
        if upstream.key_variable:  # the upstream's key is ours: only who may decide uses it
            secret = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
            self._admission.check("decide", secret, scope["client"][0] if scope.get("client") else "")
            headers.append((b"authorization", f"Bearer {os.environ.get(upstream.key_variable, '')}".encode()))
        return headers

    def _timeouts(self) -> dict[str, float]:
        answer, connect = self._config.answer_seconds, self._config.connect_seconds
        return {"connect": connect, "pool": connect, "read": answer, "write": answer}


def _ask(scope: Scope, body: bytes) -> Asked | None:
    """Return what the request asks to decide; whatever goes wrong here, it passes."""
    if scope["path"] != _CHAT:
        return None
    with contextlib.suppress(Exception):
        named = {name: value.decode("latin-1") for name, value in scope["headers"] if name.startswith(b"x-aegis-")}
        return read_choice(body, named.get(b"x-aegis-point", ""), named.get(b"x-aegis-episode", ""))
    return None


def _target(url: str, scope: Scope) -> httpcore2.URL:
    parts = urlsplit(url)
    path = scope.get("raw_path") or scope["path"].encode()
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    target = parts.path.rstrip("/").encode() + path.partition(b"?")[0].removeprefix(_PREFIX) + query
    host = (parts.hostname or "").encode()
    return httpcore2.URL(scheme=parts.scheme.encode(), host=host, port=parts.port, target=target)


def _end_to_end(headers: Headers) -> Headers:
    """Return headers without those of one connection."""
    named = {
        part.strip().lower() for name, value in headers if name.lower() == b"connection" for part in value.split(b",")
    }
    return [(name, value) for name, value in headers if name.lower() not in _HOP | named]


def _model(body: bytes) -> str:
    with contextlib.suppress(ValueError, RecursionError, AttributeError):
        return str(json.loads(body).get("model", ""))
    return ""


def _shown(name: str) -> bytes:
    return "".join(sign if sign.isprintable() else " " for sign in name).encode("ascii", "replace")[:200]


async def _client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
