"""A teacher in Ray's actors, and the teacher that asks them.

Behind an endpoint one actor asks, on the machine of the command, where its tokens are counted. A model is loaded once
for each GPU of the cluster, or else once for each machine. Ray starts an actor that died again and repeats what it was
asked: to ask a teacher twice changes nothing. A state that ends its process each time gets no answer in the end.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aegis.cluster.asking import AskedTeacher, Refused, TeacherOrder
from aegis.cluster.connection import own_node
from aegis.cluster.lending import lend, take_back
from aegis.errors import AegisError, BudgetError, TeacherError
from aegis.rendering import clean_text
from aegis.store import TeacherClaim
from aegis.types import ActionList, Choice, State

_SPARE_THREADS = 4
_END_SECONDS = 5.0
_ASKED_AGAIN = 3
"""How often a question is repeated whose actor died; that of another agent at the same time, too"""


class TeacherActor:
    """Loads a teacher when it is first asked, and answers many at once, each in a thread of its own."""

    def __init__(self, order: TeacherOrder) -> None:
        self._order = order
        self._loading = threading.Lock()
        self._teacher: AskedTeacher | None = None

    def describe(self) -> TeacherClaim | Refused:
        """Return the teacher's name, parameters and source, or why it can't be loaded."""
        try:
            teacher = self._loaded().teacher
        except AegisError as error:
            return Refused(str(error))
        return TeacherClaim(teacher.name, teacher.parameters, teacher.source)

    def ask(self, states: Sequence[State], actions: ActionList) -> list[Choice | Refused]:
        try:
            teacher = self._loaded()
        except AegisError as error:
            return [Refused(str(error))] * len(states)
        return [teacher.ask(state, actions) for state in states]

    def counts(self) -> tuple[int, int]:
        """Return how many states were asked about, and in how many requests or forward passes."""
        return (self._teacher.asked, self._teacher.passes) if self._teacher else (0, 0)

    def process(self) -> tuple[str, int]:
        """Return the node and the process that the teacher runs in."""
        return own_node(), os.getpid()

    def close(self) -> None:
        """Write the tokens that are not written yet, and close the connection."""
        if self._teacher is not None:
            self._teacher.close()

    def _loaded(self) -> AskedTeacher:
        with self._loading:
            if self._teacher is None:
                self._teacher = AskedTeacher(self._order.load())
            return self._teacher


class ClusterTeacher:
    """A teacher whose choices an actor makes. It may be sent to other actors."""

    def __init__(self, actor: Any, claim: TeacherClaim) -> None:
        self._actor = actor
        self.name = claim.name
        self.parameters = claim.parameters
        self.source = claim.source

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return a choice per state; raises `TeacherError` where one gets none, `BudgetError` where none ever will."""
        found: list[Choice] = []
        for answer in self.ask(states, actions):
            if isinstance(answer, Refused):
                raise (BudgetError if answer.for_all else TeacherError)(answer.reason)
            found.append(answer)
        return found

    def ask(self, states: Sequence[State], actions: ActionList) -> list[Choice | Refused]:
        """Return for each state its choice, or why there is none."""
        import ray

        try:
            answers: list[Choice | Refused] = ray.get(self._actor.ask.remote(list(states), actions))
        except ray.exceptions.RayError as error:
            raise TeacherError(f"teacher {self.name}: its actor fails ({first_line(error)})") from error
        return answers

    def process(self) -> tuple[str, int]:
        """Return the node and the process that its actor runs in now."""
        import ray

        found: tuple[str, int] = ray.get(self._actor.process.remote())
        return found


class TeacherActors:
    """The actors of one teacher, each asked by many."""

    def __init__(self, order: TeacherOrder, askers: int) -> None:
        """Start the actors. askers: how many ask at the same time; raises `TeacherError` where it can't be loaded."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        gpus = 0 if not order.needs_device or order.device == "cpu" else int(ray.cluster_resources().get("GPU", 0))
        nodes = sum(bool(node["Alive"]) for node in ray.nodes())
        count = 1 if order.is_endpoint else gpus or nodes
        where: Any = NodeAffinitySchedulingStrategy(own_node(), soft=False) if order.is_endpoint else "SPREAD"
        self._lent = lend() if order.is_endpoint else None
        order = replace(order.on("cuda" if gpus else "cpu"), lent=self._lent)
        made = ray.remote(TeacherActor).options(
            num_cpus=0,
            num_gpus=1 if gpus else 0,
            scheduling_strategy=where,
            max_concurrency=-(-askers // count) + _SPARE_THREADS,
            max_restarts=-1,
            max_task_retries=_ASKED_AGAIN,
        )
        self._actors = [made.remote(order) for _ in range(count)]
        self._turns = itertools.count()
        try:
            self.claim = self._describe(order.name)
        except BaseException:
            self.close()
            raise
        self._began = [actor.process.remote() for actor in self._actors]

    def _describe(self, name: str) -> TeacherClaim:
        import ray

        try:
            described: TeacherClaim | Refused = ray.get(self._actors[0].describe.remote())
        except ray.exceptions.RayError as error:
            described = Refused(f"teacher {name}: its actor fails ({first_line(error)})")
        if isinstance(described, Refused):
            raise TeacherError(described.reason)
        return described

    def teacher(self, asker: int) -> ClusterTeacher:
        """Return the teacher that an asker asks: the askers are spread over the actors."""
        return ClusterTeacher(self._actors[asker % len(self._actors)], self.claim)

    def ask(self, state: State, actions: ActionList) -> Choice | Refused:
        """Return the choice of the next actor in turn, or why there is none; any thread may ask."""
        try:
            return self.teacher(next(self._turns)).ask([state], actions)[0]
        except TeacherError as error:
            return Refused(str(error))

    def counts(self) -> tuple[int, int]:
        """Return how many states were asked about, and in how many requests or forward passes, by those that live."""
        import ray

        found = ray.get([actor.counts.remote() for actor in self._actors])
        return sum(asked for asked, _ in found), sum(passes for _, passes in found)

    def started_again(self) -> int:
        """Return how many of the actors are in another process than at first, or in none."""
        import ray

        now = [actor.process.remote() for actor in self._actors]
        pairs = list(zip(self._began, now, strict=True))
        ray.wait(now, num_returns=len(now), timeout=_END_SECONDS)
        return sum(_read(began) != _read(present) for began, present in pairs)

    def close(self) -> None:
        """End the actors."""
        import ray

        ray.wait([actor.close.remote() for actor in self._actors], num_returns=len(self._actors), timeout=_END_SECONDS)
        for actor in self._actors:
            ray.kill(actor)
        if self._lent is not None:
            take_back(self._lent)


def _read(process: Any) -> tuple[str, int] | None:
    """Return what an actor says of its process; None where it says nothing."""
    import ray

    try:
        found: tuple[str, int] = ray.get(process, timeout=0)
    except ray.exceptions.RayError:
        return None
    return found


def first_line(error: BaseException) -> str:
    """Return what Ray says of a failure, in one line."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return clean_text(lines[-1] if lines else type(error).__name__, 300)
