"""The thread that records the decisions of passed exchanges: no request waits for it, and no fault of it is heard."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Any, NamedTuple

from aegis.door import Decided
from aegis.errors import AegisError, DataError
from aegis.formats import LoggedDecision
from aegis.formats.record import NoDecision
from aegis.serving.gateway.answer import read_answer
from aegis.serving.gateway.assist import Taken
from aegis.serving.gateway.choice import UNNAMED, Asked, Question
from aegis.serving.gateway.dialect import Reply
from aegis.serving.gateway.span import make_span
from aegis.serving.metric import Metrics
from aegis.serving.point import NewPoint, PointBook
from aegis.store.calls import Call
from aegis.workspace import MODEL_PREFIXES

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

LOGGER = logging.getLogger("aegis.serving")
_MOST_WAITING = 1000
_MOST_RECORDING = 64
"""Decisions on their way to the disk at most; they share a commit"""
_MOST_POINTS = 100
"""Points that a process makes for what passes: an agent may send another set of tools each time"""
_TOO_MANY = f"point {{}}: more than {_MOST_POINTS} points: name them by the header x-aegis-point"


class Exchange(NamedTuple):
    """A request that is a choice, and its whole answer: the upstream's, or the HRM's own."""

    asked: Asked
    upstream: str
    seconds: float
    """From the request to the last byte of the answer"""
    answer: Answer | None = None
    """The upstream's; None where the HRM answered, and its decisions are recorded already"""
    taken: Taken | None = None
    """What the HRM decided"""
    parent: str = ""
    """The request's `traceparent`"""


class Answer(NamedTuple):
    """An upstream's answer, as it came."""

    headers: Mapping[str, str]
    """In lower case"""
    body: bytes


class Recording:
    """Records exchanges at their points. tracer: makes a span of each."""

    def __init__(self, points: PointBook, metrics: Metrics, tracer: Tracer | None = None) -> None:
        self._points = points
        self._tracer = tracer
        self._metrics = metrics
        self._waiting: queue.Queue[Exchange | None] = queue.Queue(_MOST_WAITING)
        self._known: set[str] = set()
        self._logged: set[str] = set()
        self._recording: set[Future[Any]] = set()
        self._thread = threading.Thread(target=self._run, name="aegis-gateway", daemon=True)
        self._thread.start()

    def put(self, exchange: Exchange) -> None:
        """Take an exchange, in an instant; it is counted and left out where too many wait."""
        try:
            self._waiting.put_nowait(exchange)
        except queue.Full:
            self._metrics.note_exchange("left_out")

    def why_left_out(self, asked: Asked) -> str:
        """Return why a request's first decision will not be recorded, as far as that is known before its answer."""
        if self._waiting.full():
            return "too many decisions wait to be recorded"
        return self._why_not(asked.questions[0], asked.model)

    def _why_not(self, question: Question, model: str) -> str:
        if self._is_one_too_many(question.point):
            return _TOO_MANY.format(question.point)
        return self._points.why_not_recorded(question.point, model, question.offered)

    def hear(self, error: Exception) -> None:
        """Log each kind of fault once: a gateway may see a thousand a second."""
        text = str(error) if isinstance(error, AegisError) else f"{type(error).__name__}: {error}"
        if text not in self._logged and len(self._logged) < 1000:
            self._logged.add(text)
            LOGGER.warning("not recorded: %s", text)

    def close(self, wait_seconds: float) -> None:
        """Record what waits, for so long at most, and end the thread."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=wait_seconds)
        self._thread.join(wait_seconds)

    def _run(self) -> None:
        while (exchange := self._waiting.get()) is not None:
            try:
                self._keep(exchange)
            except NoDecision:
                self._metrics.note_exchange("no_decision")
            except Exception as error:  # the gateway fails open
                self._fail(error)
        for one in [*self._recording]:
            wait([one])

    def _fail(self, error: Exception) -> None:
        self._metrics.note_exchange("not_recorded")
        self.hear(error)

    def _follow(self, recorded: Future[Any], result: str, point: str = "") -> None:
        """Count what is recorded once it is on the disk; wait where much is still on its way.

        point: of a decision that is not counted yet.
        """

        def note(over: Future[Any]) -> None:
            self._recording.discard(over)
            error = over.exception()
            if isinstance(error, Exception):
                self._fail(error)
                return
            if point:
                by_hrm = over.result().policy.startswith(MODEL_PREFIXES)
                self._metrics.note_decision(point, "hrm" if by_hrm else "teacher")
            self._metrics.note_exchange(result)

        if len(self._recording) >= _MOST_RECORDING:
            wait([*self._recording], return_when=FIRST_COMPLETED)
        self._recording.add(recorded)
        recorded.add_done_callback(note)

    def _keep(self, exchange: Exchange) -> None:
        asked, share = exchange.asked, 1 / len(exchange.asked.questions)
        if exchange.answer is None:
            response = str(asked.dialect.write(Reply(asked.questions[0].id, asked.model, 0), asked.request)["id"])
            call = Call(response, None, exchange.seconds, share=share)
            self._trace(exchange, call)
            for question in asked.questions:
                self._follow(self._points.find(question.point).record_call_soon(question.id, call), "answered")
            return
        answer = read_answer(asked.dialect, exchange.answer.headers, exchange.answer.body)
        read, written = asked.dialect.tokens(answer) or (None, None)
        model = str(answer.get("model") or asked.model)
        call = Call(str(answer.get("id") or asked.questions[0].id), model, exchange.seconds, read, written, share)
        self._trace(exchange, call)
        for point, decision in asked.made(answer):
            self._follow(self._record(exchange, point, decision, call), "recorded", point)

    def _trace(self, exchange: Exchange, call: Call) -> None:
        if self._tracer is None:
            return
        asked, first = exchange.asked, exchange.asked.questions[0]
        decided = exchange.taken.policy if exchange.taken is not None and exchange.taken.choices else asked.model
        fields = {
            "gen_ai.provider.name": asked.dialect.company,
            "gen_ai.request.model": asked.model,
            "gen_ai.conversation.id": first.decision.episode or None,
            "aegis.point": first.point,
            "aegis.decision": None if self._why_not(first, asked.model) else first.id,
            "aegis.policy": decided,
        }
        try:
            make_span(self._tracer, call, exchange.seconds, exchange.parent, fields)
        except Exception as error:  # an exporter's fault must not keep a decision from being recorded
            self.hear(error)

    def _record(self, exchange: Exchange, point: str, decision: LoggedDecision, call: Call) -> Future[Decided]:
        asked, taken = exchange.asked, exchange.taken
        offered = Question.of(point, "", decision).offered
        new = NewPoint(offered, asked.model, exchange.upstream)
        self._note_point(point, new)
        decider = self._points.find(point, new)
        if why := self._points.why_not_recorded(point, asked.model, offered):
            raise DataError(why)
        if decision.action not in decision.offered:
            raise DataError(f"point {point}: several tools at once are no action")
        action = next(name for name, label in offered.items() if label == decision.action)
        choice = taken.choices.get(point) if taken else None
        id = next((question.id for question in asked.questions if question.point == point), None)
        return decider.record_soon(
            decision.state,
            choice if choice is not None and choice.action == action else action,
            offered=list(offered),
            episode=decision.episode or None,
            id=id,
            audited=taken is not None and taken.audited,
            call=call,
        )

    def _note_point(self, point: str, new: NewPoint) -> None:
        """Note that a point is used; warn of a new one that looks like another, because its prompt or tools vary.

        Raises `DataError` for one point too many.
        """
        if self._is_one_too_many(point):
            raise DataError(_TOO_MANY.format(point))
        if point in self._known:
            return
        self._known.add(point)
        if not point.startswith(UNNAMED) or point in self._points.names():
            return
        if alike := self._points.most_alike(new, UNNAMED):
            other, common = alike
            LOGGER.warning(
                "new point %s: %d of its %d actions are those of %s, but the system prompt or the tools differ. "
                "Where both are one choice, name it by the header x-aegis-point: they learn apart otherwise",
                *(point, common, len(new.actions), other),
            )

    def _is_one_too_many(self, point: str) -> bool:
        return len(self._known) >= _MOST_POINTS and point not in self._known
