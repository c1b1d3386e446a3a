"""An upstream that answers as a test says and keeps what it was sent, and a gateway before it."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from aegis.lifecycle import open_store
from aegis.serving import GatewayConfig, LimitConfig, PointBook, ServeConfig, UpstreamConfig, make_app
from aegis.workspace import Workspace
from tests.serving.gateway.wire import CALL

ROUTER = {"x-aegis-point": "router", "x-aegis-episode": "customer 7"}


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """Return an event of a streamed chat completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    event = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m-2026",
        "choices": [choice],
    }
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def completion(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    """Return a chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-2026"} | {
        "choices": [choice],
        "usage": usage,
    }


@dataclass
class Upstream:
    """An ASGI application; `chunks` are sent one by one, `breaks`: without an end, `waits`: seconds before each."""

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [(b"content-type", b"application/json")])
    chunks: list[bytes] = field(default_factory=list)
    breaks: bool = False
    waits: float = 0.0
    got: list[tuple[str, str, list[tuple[bytes, bytes]], bytes]] = field(default_factory=list)
    left: int = 0
    """Clients that hung up"""

    chunk = staticmethod(chunk)
    completion = staticmethod(completion)

    def answer(self, document: Any, status: int = 200, packed: bool = False) -> None:
        """Answer with this as JSON from now on."""
        body = json.dumps(document).encode()
        self.status, self.chunks = status, [gzip.compress(body) if packed else body]
        self.headers = [(b"content-type", b"application/json"), (b"x-request-id", b"req_1")]
        self.headers += [(b"content-encoding", b"gzip")] if packed else []
        self.headers += [(b"content-length", str(len(self.chunks[0])).encode())]

    def stream(self, *chunks: bytes) -> None:
        """Answer with these events from now on."""
        self.status, self.chunks = 200, list(chunks)
        self.headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-request-id", b"req_2")]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        path = scope["raw_path"].decode() + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
        self.got.append((scope["method"], path, scope["headers"], body))
        watch = asyncio.ensure_future(receive())
        try:
            if await self._waits(watch):
                return
            await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
            for one in self.chunks:
                await send({"type": "http.response.body", "body": one, "more_body": True})
                if await self._waits(watch):
                    return
            if not self.breaks:
                await send({"type": "http.response.body", "body": b""})
        finally:
            watch.cancel()

    async def _waits(self, watch: Any) -> bool:
        done, _ = await asyncio.wait({watch}, timeout=self.waits or 0.001)
        self.left += len(done)
        return bool(done)


@dataclass
class Gate:
    """A gateway before an upstream, and who asks both."""

    upstream: Upstream
    direct: httpx2.Client
    through: httpx2.Client
    url: str
    running: Any
    points: PointBook
    assistant: Any
    manage: str = ""
    """The token that may see the metrics"""

    def metrics(self) -> str:
        headers = {"authorization": f"Bearer {self.manage}"} if self.manage else {}
        return self.through.get("/metrics", headers=headers).text

    def recorded(self, result: str = "recorded") -> int:
        line = f'aegis_gateway_exchanges_total{{result="{result}"}} '
        return int(float(next((one.split()[-1] for one in self.metrics().splitlines() if line in one), "0")))


@pytest.fixture
def open_gate(run_app, tmp_path):
    """Return what starts an upstream and a gateway before it."""
    clients = []

    def start(tokens=None, manage="", **settings) -> Gate:
        upstream = Upstream()
        direct = run_app(upstream).url
        given = [UpstreamConfig(f"{direct}/v1", **settings.pop("upstream", {}))]
        more = settings.pop("more_upstreams", ())
        points, limits = settings.pop("points", {}), settings.pop("limits", LimitConfig())
        config = ServeConfig(points, GatewayConfig((*more, *given), **settings), limits)
        points = PointBook(tmp_path, config.points, gateway=config.gateway)
        app = make_app(points, config, tokens)
        running = run_app(app)
        urls = (direct, running.url)
        clients.extend(httpx2.Client(base_url=url, timeout=60, trust_env=False) for url in urls)
        return Gate(upstream, clients[-2], clients[-1], running.url, running, points, app._gateway._assistant, manage)

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def recorded_at(tmp_path):
    """Return the decisions at a point, the newest first."""

    def read(point):
        with open_store(Workspace(tmp_path).point(point)) as store:
            return store.recent(10)

    return read


@pytest.fixture
def gate(open_gate):
    return open_gate()


@pytest.fixture
def assisted(open_gate, promote, wait_for):
    """Return what starts a gateway whose HRM decides everything that this request asks."""

    def start(body, answer=None, path="/v1/chat/completions", headers=ROUTER, **settings):
        gate = open_gate(**({"mode": "switch", "assist_seconds": 30.0} | settings))
        gate.upstream.answer(answer or gate.upstream.completion({"tool_calls": [CALL]}, "tool_calls"))
        point = gate.through.post(path, json=body, headers=headers).headers["x-aegis-point"]
        wait_for(lambda: gate.recorded() >= 1)
        promote(point)
        decider = gate.points.find(point)
        wait_for(lambda: decider._steward.policy.name == "hrm@1")
        decider._steward.audit_rate = 0.0
        gate.upstream.got.clear()
        return gate

    return start
