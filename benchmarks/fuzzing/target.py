"""The readers of AEGIS, each as a function of bytes that raises nothing but what it should have refused itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from aegis.cli.session import read_model_config
from aegis.config import HRMConfig
from aegis.config.plan import TrainingPlan
from aegis.door.bill import PRICES_FILE, read_prices
from aegis.door.outcome import read_reports
from aegis.errors import AegisError
from aegis.formats import read_decisions
from aegis.http import Reply
from aegis.serving import GatewayConfig, PointBook, ServeConfig, UpstreamConfig, make_app, read_config
from aegis.serving.gateway.answer import read_answer
from aegis.serving.gateway.dialect import DIALECTS
from aegis.serving.middleware import RequestMiddleware
from aegis.serving.point import NewPoint
from aegis.store import read_examples
from aegis.teachers.openai_api import OpenAITeacher
from aegis.types import ActionList, ActionSpec
from benchmarks.fuzzing.draw import as_json, change, scramble

ACTIONS = ActionList(tuple(ActionSpec(name, name, name) for name in ("refund", "escalate", "answer")))
_TOOL = {"name": "refund", "description": "", "parameters": {"type": "object", "properties": {"kind": {"enum": ["a"]}}}}
_CALL = {"id": "c", "type": "function", "function": {"name": "refund", "arguments": '{"kind": "a"}'}}
_MESSAGES = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "my phone broke"}]
_REQUEST = {"model": "m", "messages": _MESSAGES, "tools": [{"type": "function", "function": _TOOL}]}
_SCHEMA = {"name": "out", "schema": {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}}}
_ANSWER = {
    "id": "chatcmpl-1",
    "model": "m",
    "choices": [
        {
            "message": {"role": "assistant", "content": "refund", "tool_calls": [_CALL]},
            "finish_reason": "stop",
            "logprobs": {
                "content": [{"token": "re", "logprob": -0.1, "top_logprobs": [{"token": "re", "logprob": -0.1}]}]
            },
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3},
}
_CLAUDE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use", "content": [
        {"type": "text", "text": "so"}, {"type": "tool_use", "id": "t", "name": "refund", "input": {"kind": 1}}],
    "usage": {"input_tokens": 9, "output_tokens": 3},
}  # fmt: skip
_SPAN = {
    "resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "1", "spanId": "2", "name": "chat", "startTimeUnixNano": "1769860800000000000",
        "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                       {"key": "gen_ai.input.messages", "value": {"stringValue": json.dumps(_MESSAGES)}}],
    }]}]}]
}  # fmt: skip
_RECORD = {
    "state": {"ticket": "broken"}, "action": "refund", "timestamp": "2026-01-31T12:00:00Z", "id": "d1", "episode": "e",
    "step": 0, "actions": ["refund", "answer"], "probabilities": {"refund": 0.9, "answer": 0.1}, "policy": "p",
    "outcome": {"status": "ok", "gained": 0, "reward": 1.0, "components": {"x": 1.0}, "detail": ""},
}  # fmt: skip
_LINES: tuple[Any, ...] = (
    {"request": _REQUEST, "response": _ANSWER}, {**_REQUEST, **_ANSWER}, {"request": _REQUEST, "response": _CLAUDE},
    _SPAN, _RECORD, {"input": "broken", "label": "refund", "episode": "e"},
    {"metadata": {"teacher": "t"}, "examples": [_RECORD]},
    {"decision": "d1", "reward": 1, "parts": {"x": 1}, "status": "ok"},
)  # fmt: skip
_TABLE = b'text,label,episode,reward,parts.x,decision\nbroken,refund,e,1,2,d1\n"two\nlines",answer,e,,,d2\n'
_TOML = b"""[points.router]\nactions = ["refund", "answer"]\nmode = "assist"\ncollect = 20\n
[points.router.renamed]\nold = "refund"\n[limits]\nmax_waiting = 4\n[gateway]\nmode = "observe"\n
[[gateway.upstreams]]\nurl = "http://localhost:8000/v1"\nmodels = ["gpt-*"]\n"""
_BODIES: tuple[tuple[str, Any], ...] = (
    ("/v1/decisions", {"point": "router", "state": {"ticket": "broken"}, "episode": "e", "decided": "refund"}),
    ("/v1/outcomes", {"point": "router", "decision": "d1", "reward": 1.0, "parts": {"x": 1.0}, "status": "ok"}),
    ("/v1/feedback", {"id": "chatcmpl-1", "reward": 1.0}),
    ("/v1/points", {"point": "router", "actions": ["refund", "answer"], "teacher": "t"}),
    ("/v1/chat/completions", _REQUEST),
    ("/v1/chat/completions", {**_REQUEST, "response_format": {"type": "json_schema", "json_schema": _SCHEMA}}),
    (
        "/v1/messages",
        {"model": "c", "max_tokens": 9, "messages": _MESSAGES[1:], "tools": [{**_TOOL, "input_schema": {}}]},
    ),
    ("/v1/responses", {"model": "m", "input": _MESSAGES, "tools": [{"type": "function", **_TOOL}]}),
)
_ANY = 1 << 16


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of input: how one is drawn, and who reads it."""

    draw: Callable[[Random], bytes]
    read: Callable[[bytes], None]
    """Raises whatever its reader should have refused, and did not"""


@contextlib.contextmanager
def targets() -> Iterator[Mapping[str, Target]]:
    """Yield the targets by name; their files stand in a temporary folder, in memory where the system has that."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with (
        tempfile.TemporaryDirectory(prefix="aegis-fuzz-", dir=memory) as name,
        _server(Path(name) / "served") as server,
    ):
        folder = Path(name)
        yield {
            "data": Target(_draw_data, lambda data: _read_data(folder, data)),
            "config": Target(_draw_config, lambda data: _read_config(folder, data)),
            "http": Target(_draw_http, server),
            "answer": Target(_draw_answer, _Answers().read),
            "checkpoint": Target(_draw_checkpoint, _Checkpoints(folder / "models").read),
        }


def _headed(kind: int, data: bytes) -> bytes:
    """Return data behind a byte that says what it is."""
    return bytes([kind]) + data


def _draw_data(random: Random) -> bytes:
    if random.random() < 0.2:
        return _headed(random.randrange(256), scramble(random, _TABLE * random.randrange(1, 4)))
    one = random.choice(_LINES)
    lines = [as_json(change(random, one) if random.random() < 0.7 else one) for _ in range(random.randrange(1, 4))]
    return _headed(random.randrange(256), scramble(random, b"\n".join(lines) + b"\n"))


_NAMES = ("log.jsonl", "log.json", "log.csv", "log.jsonl.gz", "log.json.gz", "log")


def _read_data(folder: Path, data: bytes) -> None:
    path = folder / _NAMES[data[0] % len(_NAMES) if data else 0]
    path.write_bytes(data[1:])
    with contextlib.suppress(AegisError):
        list(read_decisions(path).decisions)
    if ".json" in path.name:
        with contextlib.suppress(AegisError):
            read_examples(path, ACTIONS)
    with contextlib.suppress(AegisError):
        list(read_reports(path))


def _draw_config(random: Random) -> bytes:
    kind = random.randrange(4)
    if kind == 0:
        return _headed(0, scramble(random, _TOML))
    document = asdict(HRMConfig()) if kind == 1 else json.loads(TrainingPlan().to_json())
    if kind == 3:
        return _headed(3, scramble(random, b'["gpt-*"]\nread = 2.5\nwritten = 10\n'))
    return _headed(kind, scramble(random, as_json(change(random, document))))


def _read_config(folder: Path, data: bytes) -> None:
    path = folder / PRICES_FILE
    path.write_bytes(data[1:])
    with contextlib.suppress(AegisError):
        if data[:1] == b"\x01":
            read_model_config(path)
        elif data[:1] == b"\x02":
            TrainingPlan.from_json(data[1:].decode("utf-8", "replace"))
        elif data[:1] == b"\x03":
            read_prices(folder)
        else:
            read_config(path)


def _draw_http(random: Random) -> bytes:
    place = random.randrange(len(_BODIES))
    return _headed(place, scramble(random, as_json(change(random, _BODIES[place][1]))))


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[Callable[[bytes], None]]:
    """Yield what posts a body to a server with a gateway; raises `AssertionError` for an answer of 500."""
    gateway = GatewayConfig((UpstreamConfig("http://127.0.0.1:9/v1"),))
    points = PointBook(folder, {}, gateway=gateway)
    points.find("router", NewPoint(ACTIONS.names, "gpt", "https://upstream"))
    app = make_app(points, ServeConfig(gateway=gateway))
    loop = asyncio.new_event_loop()

    def post(data: bytes) -> None:
        path = _BODIES[data[0] % len(_BODIES) if data else 0][0]
        status = loop.run_until_complete(_post(app, path, data[1:]))
        if status == 500:
            raise AssertionError(f"{path}: an error inside AEGIS")

    try:
        yield post
    finally:
        passing: Any = app._gateway
        loop.run_until_complete(passing.close())
        points.close()
        loop.close()


async def _post(app: RequestMiddleware, path: str, body: bytes) -> int:
    """Return the status of the answer."""
    status = 0
    sent = False
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope: dict[str, Any] = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": path, "root_path": "",
        "raw_path": path.encode(), "query_string": b"", "headers": headers, "client": ("127.0.0.1", 1), "state": {},
        "server": ("127.0.0.1", 8700),
    }  # fmt: skip

    async def receive() -> Any:
        nonlocal sent
        if sent:
            await asyncio.sleep(3600)
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    await app(scope, receive, send)
    return status


def _draw_answer(random: Random) -> bytes:
    document = random.choice((_ANSWER, _CLAUDE, {"id": "r", "output": [{"type": "message", "content": []}]}))
    changed = as_json(change(random, document))
    if random.random() < 0.3:
        events = [as_json(change(random, {"type": "content_block_delta", "index": 0, "delta": {"text": "a"}}))]
        changed = b"".join(b"data: " + one + b"\n\n" for one in (changed, *events)) + b"data: [DONE]\n\n"
    return _headed(random.randrange(256), scramble(random, changed))


class _Canned:
    """Answers every request of a teacher with the same bytes."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def request(self, method: str, url: str, **given: Any) -> Reply:
        return Reply(200, self._body)


class _Answers:
    """Gives a body to the gateway's readers, and to a teacher as its server's answer."""

    def __init__(self) -> None:
        self._teacher = OpenAITeacher("m", "http://127.0.0.1:9/v1")
        self._teacher.close()
        self._asked = 0

    def read(self, data: bytes) -> None:
        kind, body = (data[0] if data else 0), data[1:]
        headers = {"content-type": "text/event-stream" if kind % 2 else "application/json"}
        if kind % 7 == 0:
            headers["content-encoding"] = "gzip"
        for dialect in DIALECTS.values():
            with contextlib.suppress(AegisError):
                read_answer(dialect, headers, body)
        self._teacher._client = _Canned(body)  # type: ignore[assignment]
        self._asked += 1  # a state that was decided is not asked again
        with contextlib.suppress(AegisError):
            self._teacher.decide([{"ticket": self._asked}], ACTIONS)


def _draw_checkpoint(random: Random) -> bytes:
    """Return which file of the folder is changed, and a seed of how."""
    return _headed(random.randrange(256), struct.pack("<Q", random.getrandbits(64)))


class _Checkpoints:
    """A folder of a tiny HRM, of which one file is changed at a time."""

    def __init__(self, folder: Path) -> None:
        from aegis.hrm import HRM, HRMPolicy
        from aegis.hrm.codec import StateCodec

        self._folder = folder / "hrm@1"
        self._folder.mkdir(parents=True)
        shape = HRMConfig(high_width=8, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2)
        HRMPolicy(HRM(shape), StateCodec(48), ACTIONS).save_as("hrm@1", self._folder)
        self._files = {path.name: path.read_bytes() for path in sorted(self._folder.iterdir())}

    def read(self, data: bytes) -> None:
        from aegis.hrm import load_policy

        name = [*self._files, "base.json"][data[0] % (len(self._files) + 1) if data else 0]
        path, random = self._folder / name, Random(data[1:])
        before = self._files.get(name)
        if name.endswith(".json"):
            document = {"base": "hrm@1"} if before is None else json.loads(before)
            path.write_bytes(scramble(random, as_json(change(random, document))))
        elif before is not None:
            _change_header(path, before, random)
        try:
            policy = load_policy(self._folder, backend="eager")
            policy.decide([{"ticket": "broken"}], policy.actions)
        except AegisError:
            pass
        finally:
            if before is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(before)


def _change_header(path: Path, before: bytes, random: Random) -> None:
    """Change the head of a safetensors file: the length of its JSON, the JSON, or where the file ends."""
    (length,) = struct.unpack("<Q", before[:8])
    head = scramble(random, before[8 : 8 + length])
    if random.random() < 0.5:
        with contextlib.suppress(ValueError, RecursionError):
            head = as_json(change(random, json.loads(before[8 : 8 + length])))
    told = len(head) if random.random() < 0.8 else random.choice((0, 1, 2**63, 10**9, length + 1))
    path.write_bytes(struct.pack("<Q", told) + head + before[8 + length :])
    if random.random() < 0.3:
        os.truncate(path, random.randrange(min(len(before), _ANY)))
