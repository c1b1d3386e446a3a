"""The agent as a Gymnasium environment, `aegis/Research-v0`, in a world that is thrown away.

Importing this module registers it; `gymnasium.make("aegis.research.environment:aegis/Research-v0")` does both. Only
time and a person's presence are simulated; search, knowledge, inbox and proposals are the agent's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray

from aegis.config import AgentConfig
from aegis.rendering import render_state
from aegis.research.actions import RESEARCH_ACTIONS
from aegis.research.features import FEATURES, features
from aegis.research.loop import Step
from aegis.research.search import SearchProvider, create_search
from aegis.research.world import NOBODY, PEOPLE, SECONDS_PER_DECISION, Person, World, Worlds, nobody
from aegis.store import DecisionStore
from aegis.types import Choice, Outcome

ENVIRONMENT_ID = "aegis/Research-v0"


class ResearchEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """A world of the research agent, in memory. A reset with a seed begins a fresh world; without, the next episode.

    An action is its place in `RESEARCH_ACTIONS`. An observation is `features` of the state; `info["state"]` has the
    state itself. An episode is truncated after `config.episode_length` decisions; nothing terminates it.

    A step's reward is the reward of its decision's outcome, plus what earlier decisions have brought since: a late
    outcome counts by its difference to the outcome before it. At the end of an episode, time passes until all waiting
    questions time out. So an episode's rewards sum to the newest rewards of its decisions.

    search: must give the same answer to the same query; None: offline. topics: the goals' topics; None: the search's
    topics. lived: decisions that a rule has made before in each fresh world. All else as for `Worlds`. A reset with a
    seed and the option `{"people": True}` begins a world with a simulated person.
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
        """Begin an episode: with a seed, in a fresh world that the seed determines; without, in the present world."""
        super().reset(seed=seed)
        if seed is not None or self._world is None:
            self._forget_world()
            kind = PEOPLE if (options or {}).get("people") else NOBODY
            self._world = self._worlds.begin(int(self.np_random.integers(2**62)), kind=kind)
            self._brought: dict[str, float] = {}
        else:
            self._world.begin_episode()
        self._made = 0
        self._situation = self._world.observe()
        return features(self._situation.state), {"state": self._situation.state, "decision": ""}

    def step(self, action: Any) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """Take an action by its place in the list; the class docstring defines the reward."""
        return self._pass_on(self._begun().act_as(self._situation, RESEARCH_ACTIONS.names[int(action)]))

    def decide(self, choice: Choice) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Do the same with a policy's choice, which is recorded as a whole."""
        return self._pass_on(self._begun().act(self._situation, choice))

    def _begun(self) -> World:
        """Return the world; raises `ResetNeeded` outside an episode."""
        if self._world is None or self._made >= self.config.episode_length:
            raise gymnasium.error.ResetNeeded("the episode is over, or none has begun: call reset()")
        return self._world

    def _pass_on(self, step: Step) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Return the step's results in Gymnasium's form, and observe the next situation."""
        world = self._begun()
        self._made += 1
        self._brought[step.decision.id] = 0.0
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
        """Return the change of a decision's reward by this outcome; 0 for one that was made in the world's past."""
        if outcome.decision_id not in self._brought:
            return 0.0
        reward, before = outcome.reward or 0.0, self._brought[outcome.decision_id]
        self._brought[outcome.decision_id] = reward
        return reward - before

    def _forget_world(self) -> None:
        if self._world is not None:
            self._world.close()
            self._world = None


def register() -> None:
    """Register `aegis/Research-v0` with `gymnasium.make`; repeated calls do no harm."""
    if ENVIRONMENT_ID not in gymnasium.registry:
        gymnasium.register(ENVIRONMENT_ID, entry_point="aegis.research.environment:ResearchEnv")


register()
