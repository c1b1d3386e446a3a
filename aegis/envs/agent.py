"""A Gymnasium environment and its decision point: an expert's episodes in, an HRM that plays by itself out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis.config.plan import TrainingPlan
from aegis.door import DeciderConfig
from aegis.door.given import Actions, make_actions
from aegis.envs.episode import (
    Describe,
    Episode,
    Expert,
    by_expert,
    by_policy,
    check_space,
    name_of,
    play,
)
from aegis.envs.evaluation import Evaluation, reached_goal
from aegis.errors import ConfigError
from aegis.lifecycle import find_serving, open_store
from aegis.lifecycle.point import claim_actions
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.packages import imports_explained
from aegis.store import DecisionStore
from aegis.types import Action, Decision, Outcome, Policy, Progress, unheard
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    import gymnasium

    from aegis.lifecycle import TrainingOutcome

_ABREAST = 64
"""Environments that are evaluated in step: the HRM's largest batch"""


class GymnasiumAgent:
    """Learns an expert's decisions in an environment. `from_gymnasium` makes it.

    Every step has its own method, and each begins where the workspace stands: `collect`, `train`, `evaluate`.
    """

    def __init__(
        self,
        make: Callable[[], gymnasium.Env[Any, Any]],
        abreast: int,
        describe: Describe,
        actions: Actions,
        workspace: Workspace,
        config: DeciderConfig,
        succeeded: Callable[[Episode], bool],
    ) -> None:
        self.actions = make_actions(actions)
        self.workspace = workspace
        self.config = config
        self._make = make
        self._abreast = abreast
        self._describe = describe
        self._succeeded = succeeded
        self._environments = [make()]
        check_space(self._environments[0], self.actions)

    def collect(self, expert: Expert, episodes: int, seed: int = 0, progress: Progress = unheard) -> int:
        """Record the expert's decisions, with their rewards, in episodes of the seeds from `seed` on.

        Returns the number of decisions. An episode that is recorded already is not played again. Raises `DataError`
        where the expert's answer is no action, `TeacherMismatchError` where another expert's decisions are recorded.
        """
        name, made = name_of(expert), 0
        with open_store(self.workspace) as store:
            claim_actions(store, self.actions, self.config.changes)
            store.claim_teacher(name, 0, f"{getattr(expert, '__module__', '?')}.{name}")
            seeds = [one for one in range(seed, seed + episodes) if not _is_recorded(store, one)]
            played = play(self._environments[:1], seeds, self._describe, self.actions, by_expert(expert, self.actions))
            for done, episode in enumerate(played, 1):
                self._record(store, episode)
                made += len(episode.turns)
                progress("Playing the expert's episodes", done, len(seeds))
        return made

    def train(self, progress: Progress = unheard) -> TrainingOutcome:
        """Train an HRM on the recorded decisions and judge it on held-out episodes; it serves if it passes the gate.

        Raises `NotEnoughDataError` below 100 decisions.
        """
        with imports_explained("training", "train"):
            from aegis.lifecycle import read_workspace_data, train_and_judge

        config = self.config
        plan = TrainingPlan(config.training, config.gate, config.model, config.rollout)
        data = read_workspace_data(self.workspace)
        return train_and_judge(data, self.workspace, plan, config.device, progress=progress)

    def evaluate(
        self, policy: Policy | Expert | None = None, episodes: int = 100, seed: int = 1_000_000, name: str = ""
    ) -> Evaluation:
        """Let a policy or an expert play episodes of the seeds from `seed` on, which nothing was learned from.

        policy: None is the HRM that serves. name: of the evaluation; by default the policy's own. Nothing is recorded.
        Raises `ConfigError` for a seed whose episode is recorded, and where no HRM serves.
        """
        seeds = range(seed, seed + episodes)
        with open_store(self.workspace) as store:
            learned = next((one for one in seeds if _is_recorded(store, one)), None)
            if learned is not None:
                raise ConfigError(f"seed {learned}: its episode is recorded, to learn from: evaluate by other seeds")
            if policy is None:
                policy = self._load(store)
        if isinstance(policy, Policy):
            name, decide = name or policy.name, by_policy(policy, self.actions)
        else:
            name, decide = name or name_of(policy), by_expert(policy, self.actions)
        while len(self._environments) < min(self._abreast, episodes):
            self._environments.append(self._make())
        played = play(self._environments, seeds, self._describe, self.actions, decide)
        return Evaluation.of(name, played, self._succeeded)

    def close(self) -> None:
        """Close the environments."""
        for environment in self._environments:
            environment.close()

    def _record(self, store: DecisionStore, episode: Episode) -> None:
        """Record an episode whole or not at all: a simulator can play it again."""
        decisions = [
            Decision(
                _episode_name(episode.seed),
                step,
                turn.state,
                self.actions.names,
                Action(turn.choice.action),
                turn.choice.probabilities,
                turn.choice.policy,
                propensity=turn.choice.propensity,
            )
            for step, turn in enumerate(episode.turns)
        ]
        with store.database.transaction():
            store.append_many(decisions)
            for decision, turn in zip(decisions, episode.turns, strict=True):
                store.record_outcome(Outcome(decision.id, "ok", reward=turn.reward))

    def _load(self, store: DecisionStore) -> Policy:
        serving = find_serving(store, self.workspace)
        if serving is None:
            raise ConfigError(
                f"{self.workspace.folder}: no HRM serves here: collect and train first; if the gate refused the last"
                " training, collect more episodes"
            )
        return VersionLoader(self.workspace, self.config.device, self.config.backend).load(serving)


def from_gymnasium(
    env: str | Callable[[], gymnasium.Env[Any, Any]] | gymnasium.Env[Any, Any],
    describe: Describe,
    actions: Actions,
    *,
    name: str = "environment",
    workspace: str | os.PathLike[str] = DEFAULT_WORKSPACE,
    config: DeciderConfig | None = None,
    succeeded: Callable[[Episode], bool] = reached_goal,
) -> GymnasiumAgent:
    """Return an agent that learns to decide in a Gymnasium environment with discrete actions.

    env: an id that `gymnasium.make` knows, or a function that makes an environment; or a single environment, which
    then plays one episode at a time. describe: a function of (environment, observation) that returns the state: what
    the HRM reads. actions: a name for each of the environment's actions, in their order. name: of the decision point.
    succeeded: which episodes count as a success; by default those that `info["is_success"]` says, else those that the
    environment ended and that earned a reward. Raises `ConfigError` where the actions don't fit the environment.
    """
    abreast = _ABREAST
    if isinstance(env, str):
        with imports_explained("an environment by its id", "train"):
            import gymnasium
        identity = env

        def make() -> gymnasium.Env[Any, Any]:
            return gymnasium.make(identity)

    elif callable(env):
        make = env
    elif hasattr(env, "reset"):
        single, abreast = env, 1

        def make() -> gymnasium.Env[Any, Any]:
            return single

    else:
        raise ConfigError(f"env={env!r}: give an environment, its id, or a function that makes one")
    point = Workspace(Path(workspace)).point(name)
    return GymnasiumAgent(make, abreast, describe, actions, point, config or DeciderConfig(), succeeded)


def _episode_name(seed: int) -> str:
    return f"seed-{seed}"


def _is_recorded(store: DecisionStore, seed: int) -> bool:
    return store.last_step(_episode_name(seed)) is not None
