"""A language model's endpoint that answers by a rule, and fails, hangs or answers garbage when it is told to."""

from __future__ import annotations

import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aegis.research import RESEARCH_ACTIONS
from aegis.testing import follow_options

TICKETS = {
    "the parcel arrived broken": "refund",
    "the parcel has not arrived": "escalate",
    "thank you for the parcel": "close",
    "where can I read about parcels": "answer",
}
"""What the clients of the served point write, and the action that fits"""
GARBAGE: tuple[bytes, ...] = (
    b"<html>gateway restarted</html>",
    b"{}",
    b'{"choices": [{"message": {"content": "I would rather dance."}}]}',
    b'{"choices": [{"message": null}]}',
    b"\xff\xfe" * 500,
    b'{"choices": ' + b"[" * 20_000,
)


class Provider:
    """The endpoint, served by a thread. `trouble` is what is wrong with it now: fails, garbage, hangs, or nothing."""

    def __init__(self, seed: int) -> None:
        self.trouble = ""
        self._over = threading.Event()
        self._draw = random.Random(seed)
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                provider._answer(self, asked)

            def log_message(self, format: str, *given: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # who asked was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        every_seconds = 0.02  # it looks whether it is to end
        threading.Thread(target=self._server.serve_forever, args=(every_seconds,), daemon=True).start()

    def close(self) -> None:
        """Stop answering, and let go of who waits."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        if self.trouble == "hangs":
            while self.trouble == "hangs" and not self._over.wait(0.05):
                pass
            handler.close_connection = True  # and no answer
            return
        status, body = 200, b""
        if self.trouble == "fails":
            status, body = self._draw.choice((500, 502, 503, 529)), b'{"error": {"message": "overloaded"}}'
        elif self.trouble == "garbage":
            body = self._draw.choice(GARBAGE)
        else:
            message = {"role": "assistant", "content": choose(asked["messages"][-1]["content"])}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            usage = {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102}
            body = json.dumps({"id": "chatcmpl-1", "model": "rule", "choices": [choice], "usage": usage}).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def choose(situation: str) -> str:
    """Return the words of the action that the rule takes, of the served point or of the research agent."""
    lines = dict(line.split(": ", 1) for line in situation.splitlines() if ": " in line)
    if "ticket" in lines:
        return TICKETS[lines["ticket"]]
    waits = dict(part.rsplit(" ", 1) for part in lines.get("waiting", "").split(", ") if " " in part)
    state = {
        "options": lines.get("options", "").split("; "),
        "human": lines.get("human"),
        "recent": lines.get("recent", "").split("; "),
        "waiting": {name: float(value) for name, value in waits.items()},
        "idle_turns": float(lines.get("idle turns", "0")),
    }
    scores = follow_options(state, RESEARCH_ACTIONS)
    return next(spec.words for spec, score in zip(RESEARCH_ACTIONS, scores, strict=True) if score == max(scores))
