"""A request to its upstream and the answer back, byte for byte: errors, streams and headers as the upstream sent them.

Where an HRM decides, its answer goes back in the same form, or the upstream is asked with the tool that it chose.

Headers of one connection are left out in both directions (RFC 9110, section 7.6.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import json
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import httpcore2

from aegis.config.secret import read_secret
from aegis.serving.admission import Admission, RateBook
from aegis.serving.gateway.answer import repeats
from aegis.serving.gateway.assist import Assistant, Taken
from aegis.serving.gateway.choice import Asked, Prompts, read_choice
from aegis.serving.gateway.dialect import DIALECTS, Dialect
from aegis.serving.gateway.recording import Answer, Exchange, Recording
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
_ANTHROPIC_KEY = b"x-api-key"
_FAULTS = 400
"""Statuses from here on are errors"""
_NAMED = {b"x-aegis-point": "point", b"x-aegis-episode": "episode"}
"""Headers by which a request names its decision point and its conversation"""
_REFUSED = (400, 404, 422)
"""An upstream that can't force a tool; the request is then sent as it came"""
_PREFIX = b"/v1"
Headers = list[tuple[bytes, bytes]]


class _Way(NamedTuple):
    """A request on its way to an upstream."""

    scope: Scope
    body: bytes
    upstream: UpstreamConfig
    headers: Headers
    send: Send
    dialect: Dialect | None
    """None on a path on which nothing is decided"""
    assists: bool
    """Whether an HRM may answer"""

    @property
    def began(self) -> float:
        """When the request was there, by `time.perf_counter`."""
        return float(self.scope["state"]["began"])

    @property
    def parent(self) -> str:
        """The request's `traceparent`, '' where it has none."""
        return dict(self.scope["headers"]).get(b"traceparent", b"").decode("latin-1")


class _Seen(NamedTuple):
    """What the gateway knows of a request when its answer comes."""

    sent_at: float
    asked: Asked | None
    """None for a request that is no choice"""
    taken: Taken | None = None
    silent: asyncio.Future[str | None] | None = None
    """What the HRM would have said"""


class Gateway:
    """An ASGI application that hands every request under `/v1` to an upstream, or lets an HRM answer it.

    prompts: the system prompts that are registered as choices.
    """

    def __init__(
        self,
        config: GatewayConfig,
        admission: Admission,
        assistant: Assistant,
        recording: Recording,
        metrics: Metrics,
        prompts: Prompts,
    ) -> None:
        self._config = config
        self._admission = admission
        self._assistant = assistant
        self._recording = recording
        self._metrics = metrics
        self._prompts = prompts
        self._rates = RateBook(config.requests_per_second)
        self._in_progress = 0
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpcore2.default_ssl_context(), max_connections=None, keepalive_expiry=config.idle_seconds
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request; ends it at the upstream, too, where the client hangs up."""
        self._admit(scope)
        body = (await receive())["body"]
        self._in_progress += 1
        passing = asyncio.ensure_future(self._serve(scope, body, send))
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
            self._in_progress -= 1

    async def close(self) -> None:
        """Record what waits, and close the connections."""
        self._assistant.close()
        await asyncio.to_thread(self._recording.close, self._config.close_seconds)
        await self._pool.aclose()

    def _admit(self, scope: Scope) -> None:
        """Raise `Refusal` where a caller asks too often, or where too many requests wait for the upstream."""
        if self._in_progress >= self._config.max_in_progress:
            raise Refusal(503, "busy", "too many requests are in progress: try again", {"retry-after": "1"})
        if wait := self._rates.wait_seconds(_address(scope)):
            rate = self._config.requests_per_second
            seconds = {"retry-after": str(max(1, round(wait)))}
            raise Refusal(429, "rate", f"more than {rate:g} requests in a second", seconds)

    async def _serve(self, scope: Scope, body: bytes, send: Send) -> None:
        upstream = self._choose(body)
        dialect = DIALECTS.get(scope["path"]) if scope["method"] == "POST" else None
        assists = dialect is not None and self._assistant.decides and self._is_trusted(scope, upstream)
        way = _Way(scope, body, upstream, self._headers_to(scope, upstream), send, dialect, assists)
        if not assists:
            await self._pass(way)
            return
        asked = self._ask(way)
        taken = await self._assistant.decide(asked) if asked is not None else None
        if asked is None or taken is None:
            await self._pass(way, asked)
        elif taken.choices and taken.text is not None:
            await self._answer(way, asked, taken)
        else:
            await self._pass(way, asked, taken)

    async def _answer(self, way: _Way, asked: Asked, taken: Taken) -> None:
        """Send the HRM's own answer, which is recorded."""
        reply, dialect = self._assistant.reply(asked, taken), asked.dialect
        if asked.streams:
            kind, body = b"text/event-stream; charset=utf-8", b"".join(dialect.stream(reply, asked.request))
        else:
            kind, body = b"application/json", json.dumps(dialect.write(reply, asked.request)).encode()
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        headers += _marks(asked, taken.policy)
        for question in asked.questions:
            self._metrics.note_decision(question.point, "hrm")
        overhead = time.perf_counter() - way.began
        headers.append((b"x-aegis-overhead-ms", f"{1000 * overhead:.2f}".encode()))
        await way.send({"type": "http.response.start", "status": 200, "headers": headers})
        await way.send({"type": "http.response.body", "body": body})
        self._recording.put(Exchange(asked, way.upstream.address, overhead, None, taken, way.parent))

    async def _pass(self, way: _Way, asked: Asked | None = None, taken: Taken | None = None) -> None:
        """Hand a request to the upstream and its answer back. asked: what it asks to decide, where that is known."""
        body = way.body
        if taken is not None and taken.choices and asked is not None:
            body = json.dumps(asked.dialect.forced(asked.request, taken.tool), ensure_ascii=False).encode()
        sent_at = time.perf_counter()
        waiting = asyncio.ensure_future(self._request(way, body))
        silent = None
        try:
            if not way.assists:
                await asyncio.sleep(0)  # the request goes out first
                asked = self._ask(way)
            if asked is not None and (taken is None or not taken.choices):
                silent = asyncio.ensure_future(self._assistant.look(asked))
            response = await waiting
        finally:
            waiting.cancel()
        if body is not way.body and response.status in _REFUSED:  # the upstream does not force tools
            await response.aclose()
            await self._pass(way, asked, Taken({}))
            return
        try:
            await self._hand_back(way, response, _Seen(sent_at, asked, taken, silent))
        finally:
            await response.aclose()
            if silent is not None:
                silent.cancel()

    async def _request(self, way: _Way, body: bytes) -> httpcore2.Response:
        """Return the upstream's answer once its headers are there; raises `Refusal` where there is none."""
        headers = way.headers
        if body or way.scope["method"] in ("POST", "PUT", "PATCH"):
            headers = [*headers, (b"content-length", str(len(body)).encode())]
        shown = way.upstream.address
        try:
            return await self._pool.handle_async_request(
                httpcore2.Request(
                    way.scope["method"],
                    _target(way.upstream.url, way.scope),
                    headers=headers,
                    content=body or None,
                    extensions={"timeout": self._timeouts()},
                )
            )
        except httpcore2.TimeoutException as error:
            raise Refusal(504, "upstream", f"{shown} does not answer in time ({type(error).__name__})") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise Refusal(502, "upstream", f"{shown} can't be reached: {error or type(error).__name__}") from None

    async def _hand_back_fault(self, way: _Way, response: httpcore2.Response) -> None:
        """Hand an error back, unless it repeats the key, which is ours: the caller must not see that."""
        body = bytearray()
        with contextlib.suppress(httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException):
            async for chunk in response.aiter_stream():
                body += chunk
                if len(body) > self._config.max_recorded_bytes:
                    break
        named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        if repeats(read_secret(way.upstream.key_variable), named, bytes(body)):
            shown = f"{way.upstream.address} refuses with status {response.status}; its answer repeats the key"
            raise Refusal(502, "upstream", f"{shown}, so it is left out: check {way.upstream.key_variable}")
        headers = [*_end_to_end(response.headers)]
        headers = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await way.send({"type": "http.response.start", "status": response.status, "headers": headers})
        await way.send({"type": "http.response.body", "body": bytes(body)})

    async def _hand_back(self, way: _Way, response: httpcore2.Response, seen: _Seen) -> None:
        if response.status >= _FAULTS and way.upstream.key_variable:
            await self._hand_back_fault(way, response)
            return
        came_at, asked, taken = time.perf_counter(), seen.asked, seen.taken
        headers = _end_to_end(response.headers)
        if asked is not None and response.status == 200:
            policy = taken.policy if taken is not None and taken.choices else asked.model
            headers += _marks(asked, policy, self._recording.why_left_out(asked))
            if seen.silent is not None and seen.silent.done() and (said := seen.silent.result()):
                headers.append((b"x-aegis-silent", _shown(said)))
        overhead = seen.sent_at - way.began + time.perf_counter() - came_at
        self._metrics.note_overhead(overhead)
        headers.append((b"x-aegis-overhead-ms", f"{1000 * overhead:.2f}".encode()))
        await way.send({"type": "http.response.start", "status": response.status, "headers": headers})
        kept, most = bytearray(), self._config.max_recorded_bytes
        try:
            async for chunk in response.aiter_stream():
                await way.send({"type": "http.response.body", "body": chunk, "more_body": True})
                if asked is not None and len(kept) <= most:
                    kept += chunk
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException):
            return  # without an end: the server breaks the connection off, as the upstream did
        await way.send({"type": "http.response.body", "body": b""})
        if asked is not None and response.status == 200 and len(kept) <= most:
            named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            seconds = time.perf_counter() - seen.sent_at
            self._recording.put(
                Exchange(asked, way.upstream.address, seconds, Answer(named, bytes(kept)), taken, way.parent)
            )

    def _ask(self, way: _Way) -> Asked | None:
        """Return what the request asks to decide; whatever goes wrong here, it passes."""
        named = {name: value.decode("latin-1") for name, value in way.scope["headers"] if name in _NAMED}
        beside = {key: named.get(name, "") for name, key in _NAMED.items()}
        with contextlib.suppress(Exception):
            return read_choice(way.body, way.dialect, beside, self._prompts) if way.dialect is not None else None
        return None

    def _is_trusted(self, scope: Scope, upstream: UpstreamConfig) -> bool:
        """Tell whether an HRM may answer a caller: with tokens, one that sends a token that may decide."""
        given = dict(scope["headers"])
        secret = given.get(b"x-aegis-token", b"").decode("latin-1") or (_secret(given) if upstream.key_variable else "")
        return self._admission.lets("decide", secret)

    def _choose(self, body: bytes) -> UpstreamConfig:
        """Return the first upstream that takes the request's model, else the last one."""
        upstreams = self._config.upstreams
        if len(upstreams) > 1:
            model = _model(body)
            for upstream in upstreams:
                if any(fnmatch.fnmatchcase(model, pattern) for pattern in upstream.models):
                    return upstream
        return upstreams[-1]

    def _headers_to(self, scope: Scope, upstream: UpstreamConfig) -> Headers:
        own = (*_OWN, b"authorization", _ANTHROPIC_KEY) if upstream.key_variable else _OWN
        given = [(name, value) for name, value in scope["headers"] if not name.startswith(b"x-aegis-")]
        headers = [(b"host", urlsplit(upstream.url).netloc.rpartition("@")[2].encode())]
        headers += [(name, value) for name, value in _end_to_end(given) if name not in own]
        if upstream.key_variable:  # the upstream's key is ours: only who may decide uses it
            sent, key = dict(scope["headers"]), read_secret(upstream.key_variable)
            self._admission.check("decide", _secret(sent), _address(scope))
            own_header = (_ANTHROPIC_KEY, key.encode()) if _ANTHROPIC_KEY in sent else None
            headers.append(own_header or (b"authorization", f"Bearer {key}".encode()))
        return headers

    def _timeouts(self) -> dict[str, float]:
        answer, connect = self._config.answer_seconds, self._config.connect_seconds
        return {"connect": connect, "pool": connect, "read": answer, "write": answer}


def _marks(asked: Asked, policy: str, left_out: str = "") -> Headers:
    """Return the headers that say who decided, where, and under which id, or why there is none."""
    first = asked.questions[0]
    marks = {b"x-aegis-policy": _shown(policy), b"x-aegis-point": first.point.encode("utf-8", "replace")}
    recorded = (b"x-aegis-not-recorded", _shown(left_out)) if left_out else (b"x-aegis-decision", first.id.encode())
    if unread := ", ".join(asked.exchange.unread):
        marks[b"x-aegis-unread"] = _shown(f"{unread}: no text, so that the upstream decides")
    return [*marks.items(), recorded]


def _secret(headers: dict[bytes, bytes]) -> str:
    """Return the token that a caller sends in place of a key."""
    bearer = headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
    return bearer or headers.get(_ANTHROPIC_KEY, b"").decode("latin-1")


def _address(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else ""


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
