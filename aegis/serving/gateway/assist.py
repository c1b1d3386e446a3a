"""The HRM's part of the gateway: what it decides in place of the upstream, and what it would have said beside it.

Nothing here may harm a request: a fault, a full disk or a slow answer means that the upstream decides.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from aegis.door import Decided, Decider
from aegis.door.teacher import AbsentTeacher
from aegis.errors import AegisError
from aegis.formats import ANSWER
from aegis.formats.exchange import enums_of
from aegis.serving.gateway.choice import Asked, Question
from aegis.serving.gateway.dialect import Reply
from aegis.serving.point import PointBook, UnknownPointError
from aegis.serving.setting import GatewayConfig
from aegis.types import Choice

T = TypeVar("T")
_THREADS = 4
"""Threads that open points; what a point's HRM decides, its own thread decides"""
_MOST_WAITING = 64
"""Requests that wait for the HRM; further ones go to the upstream at once"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What the HRM decided of a request."""

    choices: Mapping[str, Choice]
    """By point; empty where the upstream is to decide"""
    tool: str = ""
    """The tool that the answer calls; '' for a text"""
    text: str | None = None
    """The whole answer: a text, or the tool's arguments; None where the upstream is to write the arguments"""
    audited: bool = False
    """Whether the upstream is drawn to decide whatever the HRM says, so that the two can be compared"""

    @property
    def policy(self) -> str:
        """Who decided."""
        return next(iter(self.choices.values())).policy


class Assistant:
    """Asks the HRMs of the points that requests belong to. hear: takes what went wrong."""

    def __init__(self, points: PointBook, config: GatewayConfig, hear: Callable[[Exception], None]) -> None:
        self._points = points
        self._seconds = config.assist_seconds
        self._hear = hear
        self._in_progress = 0
        self._closed = False
        self._workers = ThreadPoolExecutor(_THREADS, "aegis-assist")

    @property
    def decides(self) -> bool:
        """Whether the HRM of any point may decide."""
        return self._points.gateway_decides

    async def decide(self, asked: Asked) -> Taken | None:
        """Return what the HRM decided, recorded where it is the whole answer; None where the upstream is to decide."""
        if asked.exchange.unread:
            return None
        modes = {self._points.mode_at_gateway(question.point) for question in asked.questions}
        if "observe" in modes or not asked.dialect.may_answer(asked.request):
            return None
        return await self._run(self._decide(asked))

    async def look(self, asked: Asked) -> str | None:
        """Return what the HRM would have said of the first question: the action, who, and with which probability."""
        first = asked.questions[0]
        decider = self._points.opened(first.point)
        if asked.exchange.unread or decider is None or not decider.answers_silently:
            return None
        if not _fits(decider, first, asked.model):
            return None
        return await self._run(_look(decider, first))

    def reply(self, asked: Asked, taken: Taken) -> Reply:
        """Return the HRM's whole answer, which is to be written in the request's form."""
        id = asked.questions[0].id
        return Reply(id, asked.model, int(time.time()), taken.tool, taken.text or "")

    def close(self) -> None:
        """Take no further question."""
        self._closed = True
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def _run(self, job: Coroutine[Any, Any, T | None]) -> T | None:
        """Return what a job returns; None where it fails or takes too long, which `hear` hears."""
        if self._in_progress >= _MOST_WAITING or self._closed:
            job.close()
            return None
        self._in_progress += 1
        try:
            async with asyncio.timeout(self._seconds):
                return await job
        except TimeoutError:
            self._hear(AegisError(f"an HRM took longer than {self._seconds:g} s: the upstream decides"))
        except UnknownPointError:
            pass  # its first decision is still to come
        except Exception as error:
            self._hear(error)
        finally:
            self._in_progress -= 1
        return None

    async def _decide(self, asked: Asked) -> Taken | None:
        deciders = await self._deciders(asked)
        if any(decider.draws_audit() for decider in deciders.values()):
            return Taken({}, audited=True)
        if len(deciders) < len({question.point for question in asked.questions}):
            return None
        # All are asked, also where one hands over: each point counts which of its states are out of distribution.
        answers = [
            deciders[question.point].ask_soon(question.decision.state, offered=[*question.offered])
            for question in asked.questions
        ]
        choices: dict[str, Choice] = {}
        labels: list[str] = []
        for question, answer in zip(asked.questions, answers, strict=True):
            choice = await asyncio.wrap_future(answer)
            if choice is None:
                return None
            choices[question.point] = choice
            labels.append(question.offered[choice.action])
        taken = _compose(asked, labels, choices)
        if taken is not None and taken.text is not None:
            await _until_kept(
                [_record(deciders[question.point], question, choices[question.point]) for question in asked.questions]
            )
        return taken

    async def _deciders(self, asked: Asked) -> dict[str, Decider]:
        """Return the deciders of the points at which the HRM may decide this request."""
        found = {}
        for question in asked.questions:
            decider = self._points.opened(question.point)
            if decider is None:
                loop = asyncio.get_running_loop()
                decider = await loop.run_in_executor(self._workers, self._points.find, question.point)
            if _fits(decider, question, asked.model):
                found[question.point] = decider
        return found


def _fits(decider: Decider, question: Question, model: str) -> bool:
    """Tell whether a point's HRM has learned from this model among these actions."""
    learned = isinstance(decider.teacher, AbsentTeacher) and decider.teacher.name == model
    return learned and question.offered.keys() <= set(decider.actions.names)


async def _look(decider: Decider, question: Question) -> str | None:
    asked = decider.ask_soon(question.decision.state, offered=[*question.offered], silently=True)
    choice = await asyncio.wrap_future(asked)
    if choice is None:
        return None
    return f"{choice.action}; policy={choice.policy}; probability={max(choice.probabilities):.3f}"


def _record(decider: Decider, question: Question, choice: Choice) -> Future[Decided]:
    episode = question.decision.episode or None
    return decider.record_soon(
        question.decision.state, choice, offered=[*question.offered], episode=episode, id=question.id
    )


async def _until_kept(recording: list[Future[Decided]]) -> None:
    """Wait for decisions to be on the disk; time that is up ends it only while nothing is being written.

    Else the upstream would decide, and the record would say that the HRM had.
    """
    kept = [asyncio.wrap_future(one) for one in recording]
    try:
        await asyncio.wait(kept)
    except asyncio.CancelledError:
        if all(one.cancel() for one in recording):
            raise
        await asyncio.wait(kept)
    for one in kept:
        one.result()


def _compose(asked: Asked, labels: list[str], choices: Mapping[str, Choice]) -> Taken | None:
    """Return the answer that these labels make; None where they don't make a whole one."""
    exchange = asked.exchange
    if exchange.tools and not exchange.forced:
        (label,) = labels
        if label == ANSWER:
            return None
        return Taken(choices, label, None if _has_parameters(exchange.tools[label]) else "{}")
    if asked.words:
        return Taken(choices, text=labels[0])
    schema = exchange.tools[exchange.forced] if exchange.forced and exchange.tools else exchange.schema
    values = _values(schema, labels)
    return None if values is None else Taken(choices, exchange.forced, json.dumps(values, ensure_ascii=False))


def _has_parameters(schema: Any) -> bool:
    return isinstance(schema, Mapping) and bool(schema.get("properties") or schema.get("required"))


def _values(schema: Any, labels: list[str]) -> Any:
    """Return the values that labels stand for; None where the schema asks for more than its enums."""
    enums = enums_of(schema)
    values = {
        key: next(value for value in given if str(value) == label)
        for (key, given), label in zip(enums.items(), labels, strict=True)
    }
    if "" in values:
        return values[""]
    whole = enums.keys() == schema["properties"].keys() == set(schema.get("required") or enums)
    return values if whole else None
