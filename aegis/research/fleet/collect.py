"""Many agents collect at once: started, asked for decisions, replaced when they die.

The writer asks. An agent decides on when it is asked again, which is after what it handed over is on the disk. So no
agent runs ahead of the writer, and whoever dies takes along only what nobody had acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from aegis.cluster.teacher import first_line
from aegis.errors import AegisError
from aegis.research.fleet.agent import AgentActor, AgentOrder, Handover, seed_of
from aegis.research.fleet.writer import Writer

DECISIONS_AT_ONCE = 10
"""Decisions that an agent is asked for: so many it may lose when it dies"""
FAILURES_AT_MOST = 8
"""Handovers of an agent, on average over all, that have no decision: then nobody will decide"""
DEATHS_AT_MOST = 5
"""Deaths of agents in a row without a decision in between: then a new one would die, too"""
_LOOK_SECONDS = 1.0
_END_SECONDS = 5.0


@dataclass(slots=True)
class _Asked:
    """An agent that was asked for decisions."""

    place: int
    actor: Any
    count: int


@dataclass(slots=True)
class Fleet:
    """Collects by many agents at once. Raises `AegisError` where no agent can decide any more.

    on_progress: called with the number of decisions after each handover. on_notice hears of an agent that died.
    """

    order: Callable[[int], AgentOrder]
    """Returns what the agent of a place is made of, from 0"""
    agents: int
    writer: Writer
    on_progress: Callable[[int], None] = lambda done: None
    on_notice: Callable[[str], None] = lambda line: None
    replaced: int = 0
    """Agents that died and were replaced"""
    actors: dict[int, Any] = field(default_factory=dict)
    """The present agent of each place"""
    _reason: str = ""
    """Of the last death"""

    def collect(self, decisions: int) -> None:
        """Return when so many decisions are recorded."""
        import ray

        written, asked = self.writer.written, dict[Any, _Asked]()
        goal = written.added + decisions
        in_vain = deaths = 0
        for place in range(self.agents):
            self._ask(place, goal - written.added - _promised(asked), asked)
        try:
            while asked:
                ready, _ = ray.wait(list(asked), num_returns=1, timeout=_LOOK_SECONDS)
                for call in ready:
                    one = asked.pop(call)
                    handed = self._hear(call, one)
                    before = written.added
                    if handed is None:
                        deaths += 1
                        self._check_deaths(deaths)
                    else:
                        self.writer.write(handed)
                        self.on_progress(decisions - (goal - written.added))
                        if handed.ended:
                            raise AegisError(f"{handed.ended}: what is recorded is kept")
                        in_vain = 0 if handed.examples else in_vain + 1
                        self._check_answers(in_vain)
                    deaths = 0 if written.added > before else deaths
                    self._ask(one.place, goal - written.added - _promised(asked), asked)
        finally:
            self._end()

    def _ask(self, place: int, left: int, asked: dict[Any, _Asked]) -> None:
        """Ask the agent of a place for its share of what is left; start it first where there is none."""
        count = min(DECISIONS_AT_ONCE, left)
        if count > 0:
            actor = self.actors.get(place) or self._start(place)
            asked[actor.collect.remote(count)] = _Asked(place, actor, count)

    def _start(self, place: int) -> Any:
        import ray

        order = self.order(place)
        made = ray.remote(AgentActor).options(num_cpus=0, scheduling_strategy="SPREAD", max_restarts=0)
        actor = made.remote(replace(order, seed=seed_of(order.seed, place, self.replaced)))
        self.actors[place] = actor
        return actor

    def _hear(self, call: Any, one: _Asked) -> Handover | None:
        """Return what an agent hands over; None where it died."""
        import ray

        try:
            handed: Handover = ray.get(call)
            return handed
        except ray.exceptions.RayError as error:
            self.replaced += 1
            self.actors.pop(one.place, None)
            ray.kill(one.actor)  # it may live, out of reach or with a full disk
            self.on_notice(f"agent {one.place + 1} died and is replaced; what it had handed over is kept")
            self._reason = first_line(error)
            return None

    def _end(self) -> None:
        """End the agents, and give them a moment to close what they opened."""
        import ray

        ray.wait(
            [actor.close.remote() for actor in self.actors.values()], num_returns=len(self.actors), timeout=_END_SECONDS
        )
        for actor in self.actors.values():
            ray.kill(actor)
        self.actors.clear()

    def _check_deaths(self, deaths: int) -> None:
        if deaths >= DEATHS_AT_MOST + self.agents:
            raise AegisError(
                f"{deaths} agents died in a row, none made a decision ({self._reason}): what is recorded is kept"
            )

    def _check_answers(self, in_vain: int) -> None:
        if in_vain >= FAILURES_AT_MOST * self.agents:
            raise AegisError(
                f"the teacher decides no state any more ({self.writer.written.last_failure}): what is recorded is kept"
            )


def _promised(asked: dict[Any, _Asked]) -> int:
    return sum(one.count for one in asked.values())
