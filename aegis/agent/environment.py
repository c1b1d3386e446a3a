"""The agent's world as a Gymnasium environment, `aegis/Research-v0`: the agent itself in a world that is thrown away.

Importing this module registers it; `gymnasium.make("aegis.agent.environment:aegis/Research-v0")` does both. What is
simulated is time and whether a person is here; search, knowledge, inbox and proposals are the agent's own.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray

from aegis.agent.actions import RESEARCH_ACTIONS
from aegis.agent.features import FEATURES, features
from aegis.agent.inbox import DrawnPresence
from aegis.agent.loop import Agent
from aegis.agent.rewards import RewardTable
from aegis.agent.search import SearchHit, SearchProvider, create_search
from aegis.config import AgentConfig
from aegis.errors import ConfigError
from aegis.rendering import render_state
from aegis.store import Database, DecisionStore
from aegis.types import ActionList, Outcome, State

ENVIRONMENT_ID = "aegis/Research-v0"
SECONDS_PER_DECISION = 60.0
"""Time that passes in the world with each decision: a question times out after 5 of them, a proposal after 1,440."""
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_ENDLESS = 2**31
_QUERIES_KEPT = 50_000

Person = Callable[[Database, datetime], None]
"""What a person does after each decision: answer what waits in the inbox, approve or reject a proposal."""


def nobody(database: Database, now: datetime) -> None:
    """Do nothing: questions and proposals time out."""


class ResearchEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """The world of the research agent: each reset is a fresh one, in memory, with nothing known and nothing waiting.

    An action is its place in `RESEARCH_ACTIONS`; an observation is `features` of the state, which itself stands in
    `info["state"]`. An episode is `config.episode_length` decisions long, and is truncated then; nothing terminates it.

    A step's reward is what the decision's outcome brought, plus what came since of earlier decisions: a late outcome
    counts by its difference to the one before it. At the end of an episode the time passes in which the questions that
    wait time out, so that an episode's rewards sum to the newest rewards of its decisions.

    search: must be the same for the same query; None: offline. topics: what goals are about; None: what the search can
    tell of. person: acts after each decision. vary_presence: the policy is told in half of the decisions that a person
    is here.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012

    def __init__(
        self,
        config: AgentConfig | None = None,
        search: SearchProvider | None = None,
        topics: Iterable[str] | None = None,
        rewards: RewardTable | None = None,
        person: Person = nobody,
        vary_presence: bool = False,
        seconds_per_decision: float = SECONDS_PER_DECISION,
        render_mode: str | None = None,
    ) -> None:
        if seconds_per_decision <= 0:
            raise ConfigError(f"seconds_per_decision must be above 0, not {seconds_per_decision}")
        self.action_space = gymnasium.spaces.Discrete(len(RESEARCH_ACTIONS))
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (FEATURES,), np.float32)
        self.render_mode = render_mode
        self.config = config or AgentConfig()
        chain = None if search is not None else create_search("offline")
        self._search = RememberedSearch(search or chain)  # type: ignore[arg-type]
        if topics is None:
            topics = chain.topics() if chain is not None else search.topics()  # type: ignore[union-attr]
        self._topics = tuple(topics)
        self._rewards = rewards
        self._person = person
        self._vary_presence = vary_presence
        self._seconds = timedelta(seconds=seconds_per_decision)
        self._database: Database | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode in a fresh world: the same seed, the same world."""
        super().reset(seed=seed)
        self._forget_world()
        rng, names = (random.Random(int(self.np_random.integers(2**62))) for _ in range(2))
        self._now = _BEGIN
        self._database = Database(None)
        self._agent = Agent(
            DecisionStore(self._database),
            _Outside(),
            self._search,
            self._topics,
            rng,
            replace(self.config, episode_length=_ENDLESS),  # this class ends the episode
            self._rewards,
            presence=(lambda inbox: DrawnPresence(rng)) if self._vary_presence else None,
            clock=lambda: self._now,
            make_id=lambda: f"{names.getrandbits(128):032x}",
        )
        self._made = 0
        self._brought: dict[str, float] = {}
        self._situation = self._agent.observe()
        return features(self._situation.state), {"state": self._situation.state, "decision": ""}

    def step(self, action: Any) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """Make the decision; see the class for the reward."""
        return self.decide(int(action))

    def decide(
        self, action: int, probabilities: tuple[float, ...] | None = None, policy: str = "outside"
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Make the decision as `step` does, recorded with what a policy of this name thought of it."""
        if self._database is None or self._made >= self.config.episode_length:
            raise gymnasium.error.ResetNeeded("the episode is over, or none has begun: call reset()")
        name = RESEARCH_ACTIONS.names[action]
        step = self._agent.act(self._situation, name, probabilities, policy)
        self._made += 1
        reward = self._count(step.outcome)
        self._person(self._database, self._now)
        self._now += self._seconds
        self._situation = self._agent.observe()
        late = list(self._situation.late)
        truncated = self._made >= self.config.episode_length
        if truncated:
            self._now += timedelta(seconds=self.config.answer_timeout_seconds)
            late += self._agent.settle(self._now)
        reward += sum(self._count(outcome) for outcome in late)
        info = {
            "state": self._situation.state,
            "decision": step.decision.id,
            "action": name,
            "outcome": step.outcome.status,
            "components": dict(step.outcome.components),
            "late": {outcome.decision_id: dict(outcome.components) for outcome in late},
        }
        return features(self._situation.state), reward, False, truncated, info

    @property
    def store(self) -> DecisionStore:
        """The decisions and outcomes of the present world."""
        if self._database is None:
            raise gymnasium.error.ResetNeeded("there is no world yet: call reset()")
        return DecisionStore(self._database)

    def render(self) -> str | None:
        """Return the state as text, in the mode `ansi`."""
        return render_state(self._situation.state) if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Forget the world, and close the search."""
        self._forget_world()
        self._search.close()

    def _count(self, outcome: Outcome) -> float:
        """Return by how much an outcome changes what its decision has brought."""
        reward, before = outcome.reward or 0.0, self._brought.get(outcome.decision_id, 0.0)
        self._brought[outcome.decision_id] = reward
        return reward - before

    def _forget_world(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


class RememberedSearch:
    """A search that asks each query once: worlds that begin anew ask the same again and again."""

    def __init__(self, search: SearchProvider) -> None:
        self.name = search.name
        self._search = search
        self.search = functools.lru_cache(maxsize=_QUERIES_KEPT)(self._ask)

    def close(self) -> None:
        """Close the search, where it can be."""
        close = getattr(self._search, "close", None)
        if close is not None:
            close()

    def _ask(self, query: str, limit: int) -> list[SearchHit]:
        return self._search.search(query, limit)


class _Outside:
    """Stands for whoever calls `step`; the agent never asks it."""

    name, parameters = "outside", 0

    def probabilities(self, states: Iterable[State], actions: ActionList) -> list[tuple[float, ...]]:
        raise NotImplementedError("decisions come from outside, by step()")


def register() -> None:
    """Make `aegis/Research-v0` known to `gymnasium.make`; twice does no harm."""
    if ENVIRONMENT_ID not in gymnasium.registry:
        gymnasium.register(ENVIRONMENT_ID, entry_point="aegis.agent.environment:ResearchEnv")


register()
