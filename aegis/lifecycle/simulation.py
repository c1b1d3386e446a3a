"""Fresh worlds to try a policy in: offline, seeded, with a simulated clock, nobody in them, in memory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from aegis.agent import Agent, RewardTable, Situation, Step
from aegis.agent.search import SearchChain
from aegis.config import AgentConfig
from aegis.store import Database, DecisionStore
from aegis.types import State

SECONDS_PER_DECISION = 60.0
"""Of simulated time, as in `aegis/Research-v0`: a question goes unanswered after 5 decisions."""
_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class SimulatedWorld:
    """One agent in a world of its own that is gone at the end. The same seed is the same world."""

    def __init__(
        self,
        search: SearchChain,
        seed: int,
        config: AgentConfig | None = None,
        rewards: RewardTable | None = None,
    ) -> None:
        self._stack = ExitStack()
        database = self._stack.enter_context(Database(None))
        self.store = DecisionStore(database)
        self._now = _BEGINNING
        rng = random.Random(seed)
        self._agent = Agent(
            self.store, _Nobody(), search, search.topics(), rng, config, rewards, clock=lambda: self._now
        )

    def observe(self) -> Situation:
        """Return what there is to decide on."""
        return self._agent.observe()

    def act(self, situation: Situation, place: int, probabilities: tuple[float, ...], policy: str) -> Step:
        """Carry out the action at this place of the list; time passes."""
        step = self._agent.act(situation, self._agent.actions.names[place], probabilities, policy)
        self._now += timedelta(seconds=SECONDS_PER_DECISION)
        return step

    def close(self) -> None:
        """Remove the world."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Nobody:
    """Stands where an agent has its policy; these are told what to do."""

    name, parameters = "nobody", 0

    def probabilities(self, states: Sequence[State], actions: object) -> list[tuple[float, ...]]:
        raise NotImplementedError
