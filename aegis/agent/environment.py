"""The agent's world as a Gymnasium environment, `aegis/Research-v0`: the agent itself in a world that is thrown away.

Importing this module registers it; `gymnasium.make("aegis.agent.environment:aegis/Research-v0")` does both. What is
simulated is time and whether a person is here; search, knowledge, inbox and proposals are the agent's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray

from aegis.agent.actions import RESEARCH_ACTIONS
from aegis.agent.features import FEATURES, features
from aegis.agent.loop import Step
from aegis.agent.search import SearchProvider, create_search
from aegis.agent.world import SECONDS_PER_DECISION, Person, World, Worlds, nobody
from aegis.config import AgentConfig
from aegis.rendering import render_state
from aegis.store import DecisionStore
from aegis.types import Choice, Outcome

ENVIRONMENT_ID = "aegis/Research-v0"


class ResearchEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """A world of the research agent, in memory. A reset with a seed begins a fresh one; one without, the next episode.

    An action is its place in `RESEARCH_ACTIONS`; an observation is `features` of the state, which itself stands in
    `info["state"]`. An episode is `config.episode_length` decisions long, and is truncated then; nothing terminates it.

    A step's reward is what the decision's outcome brought, plus what came since of earlier decisions: a late outcome
    counts by its difference to the one before it. At the end of an episode the time passes in which the questions that
    wait time out, so that an episode's rewards sum to the newest rewards of its decisions.

    search: must be the same for the same query; None: offline. topics: what goals are about; None: what the search can
    tell of. lived: decisions made in each fresh world before, by a rule. All else as for `Worlds`.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012

    def __init__(
        self,
        config: AgentConfig | None = None,
        search: SearchProvider | None = None,
        topics: Iterable[str] | None = None,
        lived: int = 0,
        person: Person = nobody,
        vary_presence: bool = False,
        seconds_per_decision: float = SECONDS_PER_DECISION,
        render_mode: str | None = None,
    ) -> None:
        self.action_space = gymnasium.spaces.Discrete(len(RESEARCH_ACTIONS))
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (FEATURES,), np.float32)
        self.render_mode = render_mode
        chain = None if search is not None else create_search("offline")
        self._search = search or chain
        if topics is None:
            topics = chain.topics() if chain is not None else search.topics()  # type: ignore[union-attr]
        self._worlds = Worlds(
            search or chain,  # type: ignore[arg-type]
            topics,
            config,
            lived=lived,
            person=person,
            vary_presence=vary_presence,
            seconds_per_decision=seconds_per_decision,
        )
        self.config = self._worlds.config
        self._world: World | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode: with a seed in a fresh world, the same for the same seed; without, in the present one."""
        super().reset(seed=seed)
        if seed is not None or self._world is None:
            self._forget_world()
            self._world = self._worlds.begin(int(self.np_random.integers(2**62)))
        else:
            self._world.begin_episode()
        self._made = 0
        self._brought: dict[str, float] = {}
        self._situation = self._world.observe()
        return features(self._situation.state), {"state": self._situation.state, "decision": ""}

    def step(self, action: Any) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """Make the decision; see the class for the reward."""
        return self._pass_on(self._begun().act_as(self._situation, RESEARCH_ACTIONS.names[int(action)]))

    def decide(self, choice: Choice) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Make the decision as `step` does, by a policy's choice, which is recorded as a whole."""
        return self._pass_on(self._begun().act(self._situation, choice))

    def _begun(self) -> World:
        """Return the world; raises `ResetNeeded` unless an episode goes on in it."""
        if self._world is None or self._made >= self.config.episode_length:
            raise gymnasium.error.ResetNeeded("the episode is over, or none has begun: call reset()")
        return self._world

    def _pass_on(self, step: Step) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Return what a step brought, in Gymnasium's form, and look at what follows it."""
        world = self._begun()
        self._made += 1
        reward = self._count(step.outcome)
        self._situation = world.observe()
        late = list(self._situation.late)
        truncated = self._made >= self.config.episode_length
        if truncated:
            late += world.wait_out()
        reward += sum(self._count(outcome) for outcome in late)
        info = {
            "state": self._situation.state,
            "decision": step.decision.id,
            "action": step.decision.action.name,
            "outcome": step.outcome.status,
            "components": dict(step.outcome.components),
            "late": {outcome.decision_id: dict(outcome.components) for outcome in late},
        }
        return features(self._situation.state), reward, False, truncated, info

    @property
    def store(self) -> DecisionStore:
        """The decisions and outcomes of the present world."""
        if self._world is None:
            raise gymnasium.error.ResetNeeded("there is no world yet: call reset()")
        return self._world.store

    def render(self) -> str | None:
        """Return the state as text, in the mode `ansi`."""
        return render_state(self._situation.state) if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Forget the world, and close the search."""
        self._forget_world()
        close = getattr(self._search, "close", None)
        if close is not None:
            close()

    def _count(self, outcome: Outcome) -> float:
        """Return by how much an outcome changes what its decision has brought."""
        reward, before = outcome.reward or 0.0, self._brought.get(outcome.decision_id, 0.0)
        self._brought[outcome.decision_id] = reward
        return reward - before

    def _forget_world(self) -> None:
        if self._world is not None:
            self._world.close()
            self._world = None


def register() -> None:
    """Make `aegis/Research-v0` known to `gymnasium.make`; twice does no harm."""
    if ENVIRONMENT_ID not in gymnasium.registry:
        gymnasium.register(ENVIRONMENT_ID, entry_point="aegis.agent.environment:ResearchEnv")


register()
