"""A local language model behind OpenAI's form of requests: `python -m benchmarks.agent.upstream --memory FILE`.

It serves Gemma 3 270M from a package. Its answer is a value of the request's enum: the one to which the model gives the
highest calibrated probability (`aegis.teachers.causal_lm`). Its answers are kept in a file. A request that came before
gets the same answer after a wait: as many seconds as the model used of one processor at first. So an experiment can be
repeated, and what else the machine does is not in its latency.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from aegis.door.intake.survey import make_specs
from aegis.formats.exchange import enums_of
from aegis.teachers import load_teacher
from aegis.types import ActionList

if TYPE_CHECKING:
    from aegis.types import Teacher

_TURNS = 8
"""Messages that the model reads, and the system's"""


class LocalModel:
    """Answers requests one after another. memory: the file of its answers."""

    def __init__(self, name: str, memory: Path) -> None:
        self._name = name
        self._memory = memory
        self._teacher: Teacher | None = None
        self._known: dict[str, dict[str, Any]] = {}
        if memory.exists():
            lines = map(json.loads, memory.read_text(encoding="utf-8").splitlines())
            self._known = {line["request"]: line for line in lines}

    def answer(self, body: bytes) -> dict[str, Any]:
        """Return the answer to a request, after the time that the model takes."""
        key = hashlib.blake2b(body, digest_size=16).hexdigest()
        if key in self._known:
            time.sleep(self._known[key]["seconds"])
            return self._known[key]
        request = json.loads(body)
        if self._teacher is None:
            self._teacher = load_teacher(self._name)
            self._decide(self._teacher, request)  # the first answer also takes what is computed once
        began = time.thread_time()
        answer = self._decide(self._teacher, request)
        self._remember(key, answer, time.thread_time() - began)
        return self._known[key]

    def _decide(self, teacher: Teacher, request: Mapping[str, Any]) -> dict[str, Any]:
        ((key, values),) = enums_of(request["response_format"]["json_schema"]["schema"]).items()
        actions = ActionList(tuple(make_specs(values)))
        state = _state_of(request["messages"])
        (choice,) = teacher.decide([state], actions)
        label = values[actions.names.index(choice.action)]
        return {"content": json.dumps({key: label}), "read": json.dumps(state)}

    def _remember(self, key: str, answer: dict[str, Any], seconds: float) -> None:
        counts = {"read": self._count(answer["read"]), "written": self._count(answer["content"])}
        line = {"request": key, **answer, **counts, "seconds": seconds}
        self._known[key] = line
        with self._memory.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _count(self, text: str) -> int:
        """Return how many of the model's tokens a text has."""
        tokenizer: Any = self._teacher._tokenizer  # type: ignore[union-attr]
        return len(tokenizer(text)["input_ids"])


def _state_of(messages: list[Mapping[str, Any]]) -> dict[str, Any]:
    system, *rest = messages
    lines = []
    for message in rest[-_TURNS:]:
        calls = ", ".join(call["function"]["name"] for call in message.get("tool_calls") or ())
        lines.append(f"{message['role']}: {message['content'] or f'calls {calls}'}")
    return {"task": system["content"], "conversation": "\n".join(lines)}


def make_app(model: LocalModel) -> Any:
    """Return the application: every POST is a request for a chat completion."""
    free = asyncio.Lock()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        async with free:  # a small machine answers one at a time
            known = await asyncio.to_thread(model.answer, body)
        usage = {"prompt_tokens": known["read"], "completion_tokens": known["written"]}
        usage["total_tokens"] = sum(usage.values())
        said = {"role": "assistant", "content": known["content"], "refusal": None}
        answer = {
            "id": f"chatcmpl-{known['request']}-{time.time_ns()}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": json.loads(body)["model"],
            "choices": [{"index": 0, "message": said, "finish_reason": "stop", "logprobs": None}],
            "usage": usage,
        }
        packed = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(packed)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": packed})

    return app


async def serve(app: Any) -> None:
    """Serve at a free port, and print the address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", access_log=False))
    task = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print("at", f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", flush=True)
    await task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", default="gemma3-270m", help="as for `aegis --teacher`: also a .gguf file")
    parser.add_argument("--memory", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    asyncio.run(serve(make_app(LocalModel(given.teacher, given.memory))))


if __name__ == "__main__":
    main()
