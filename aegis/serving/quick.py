"""The short way to a decision: past the application's layers, which take more time than the HRM.

`/v1/decisions` is documented by the application, and answered here. What is out of form goes to the application, which
says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from aegis.errors import AegisError
from aegis.serving.admission import Admission
from aegis.serving.fault import explain
from aegis.serving.middleware import replay
from aegis.serving.schema import DecisionAnswer, DecisionRequest
from aegis.serving.service import Decisions

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/v1/decisions"


class _Route(NamedTuple):
    """What the metrics read of a route."""

    path: str


class QuickDecisions:
    """An ASGI application that answers `POST /v1/decisions`, and hands everything else on.

    The body of a request is one message, as `RequestMiddleware` sends it.
    """

    def __init__(self, app: ASGIApp, decisions: Decisions, admission: Admission) -> None:
        self._app = app
        self._decisions = decisions
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; raises `Refusal` where it may not pass."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        message = await receive()
        try:
            if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
                raise ValueError
            asked = DecisionRequest.model_validate_json(message.get("body", b""))
        except (ValidationError, ValueError):
            await self._app(scope, replay(message["body"], receive), send)
            return
        scope["route"] = _Route(PATH)
        self._admission.check("decide", _bearer(headers), scope["client"][0] if scope.get("client") else "")
        try:
            decided = await self._decisions.decide(asked)
        except AegisError as error:
            fault = explain(error)
            await _send(send, fault.status, fault.body, fault.headers)
        else:
            await _send(send, 200, _pack(decided), {})


def _pack(answer: DecisionAnswer) -> bytes:
    return answer.model_dump_json().encode()


def _bearer(headers: dict[bytes, bytes]) -> str:
    scheme, _, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


async def _send(send: Send, status: int, body: bytes, further: dict[str, str]) -> None:
    named = {"content-type": "application/json", "content-length": str(len(body)), **further}
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
