"""A Gymnasium environment and its decision point: an expert's episodes in, an HRM that plays by itself out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis.config.plan import TrainingPlan
from aegis.door import DeciderConfig
from aegis.door.given import Actions, make_actions
from aegis.envs.episode import (
    Decide,
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
from aegis.envs.improvement import (
    EPISODIC,
    FIRST_SEED,
    ImprovementPlan,
    ImprovementResult,
    improve_by_episodes,
)
from aegis.errors import ConfigError
from aegis.lifecycle import find_serving, open_store
from aegis.lifecycle.lock import hold
from aegis.lifecycle.point import claim_actions
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.packages import imports_explained
from aegis.promotion import ModelRegistry, Serving
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

    Every step has its own method, and each begins where the workspace stands: `collect`, `train`, `evaluate` and
    `improve`.
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
        _check_count(episodes)
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
        self, policy: Policy | Expert | str | None = None, episodes: int = 100, seed: int = 1_000_000, name: str = ""
    ) -> Evaluation:
        """Let a policy or an expert play episodes of the seeds from `seed` on, which nothing was learned from.

        policy: None is the HRM that serves, a text the version of that name. name: of the evaluation; by default the
        policy's own. Nothing is recorded. Raises `ConfigError` for a seed whose episode is recorded or was used by an
        improvement, where no HRM serves, and for an unknown version.
        """
        _check_count(episodes)
        seeds = range(seed, seed + episodes)
        with open_store(self.workspace) as store:
            self._check_fresh(store, seeds)
            if policy is None or isinstance(policy, str):
                policy = self._load(store, policy)
        if isinstance(policy, Policy):
            name, decide = name or policy.name, by_policy(policy, self.actions)
        else:
            name, decide = name or name_of(policy), by_expert(policy, self.actions)
        return Evaluation.of(name, self._play(decide, seeds), self._succeeded)

    def improve(
        self,
        episodes: int = 1000,
        compared: int = 100,
        measured: int = 500,
        seed: int | None = None,
        progress: Progress = unheard,
    ) -> ImprovementResult:
        """Let the HRM that serves learn from the rewards of its own episodes, by policy gradient (phase 4).

        It draws its actions in `episodes` episodes. Before, on the way and at the end it plays the same `compared`
        episodes, and the version with the highest mean return is the result. It is measured before and after in the
        same `measured` episodes, which it neither learned from nor was chosen by. It serves if the 95% interval of the
        gain in return, by episode, lies above 0. seed: of the first episode; None: after all earlier improvements'.
        The settings are `config.reinforce`, else `aegis.envs.EPISODIC`. The episodes are not recorded.
        Raises `ConfigError` where no HRM serves, and for a seed that was used before.
        """
        with hold(self.workspace.improvement_lock, "an improvement"), open_store(self.workspace) as store:
            if seed is None:
                seed = max([FIRST_SEED, *(used.stop for used in _improved_by(store, self.workspace))])
            reinforce = self.config.reinforce or EPISODIC
            plan = ImprovementPlan(episodes, compared, measured, seed, reinforce, self.config.device)
            self._check_fresh(store, plan.seeds)

            def play_policy(policy: Policy, seeds: Sequence[int]) -> Iterator[Episode]:
                return self._play(by_policy(policy, self.actions), seeds)

            return improve_by_episodes(
                store, self.workspace, plan, play_policy, self.actions, self._succeeded, progress
            )

    def close(self) -> None:
        """Close the environments."""
        for environment in self._environments:
            environment.close()

    def _play(self, decide: Decide, seeds: Sequence[int]) -> Iterator[Episode]:
        while len(self._environments) < min(self._abreast, len(seeds)):
            self._environments.append(self._make())
        return play(self._environments, seeds, self._describe, self.actions, decide)

    def _check_fresh(self, store: DecisionStore, seeds: range) -> None:
        """Raise `ConfigError` for a seed of an episode that the HRM learned from, or was chosen or judged by."""
        learned = next((one for one in seeds if _is_recorded(store, one)), None)
        if learned is not None:
            raise ConfigError(f"seed {learned}: its episode is recorded, to learn from: evaluate by other seeds")
        for used in _improved_by(store, self.workspace):
            if used.start < seeds.stop and seeds.start < used.stop:
                raise ConfigError(
                    f"seed {max(used.start, seeds.start)}: an improvement has used the seeds from {used.start} to"
                    f" {used.stop - 1}: take other seeds"
                )

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

    def _load(self, store: DecisionStore, name: str | None) -> Policy:
        """Load a version; None: the one that serves."""
        version = find_serving(store, self.workspace)
        if name is not None:
            known = {one.name: one for one in ModelRegistry(store, self.workspace).models()}
            if name not in known:
                raise ConfigError(
                    f"{self.workspace.folder}: no HRM {name!r} here: there are {', '.join(known) or 'none'}"
                )
            version = Serving(name, known[name].folder, "")
        if version is None:
            raise ConfigError(
                f"{self.workspace.folder}: no HRM serves here: collect and train first; if the gate refused the last"
                " training, collect more episodes"
            )
        return VersionLoader(self.workspace, self.config.device, self.config.backend).load(version)


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


def _check_count(episodes: object) -> None:
    if isinstance(episodes, bool) or not isinstance(episodes, int) or episodes < 1:
        raise ConfigError(f"episodes must be a whole number from 1, not {episodes!r:.80}")


def _episode_name(seed: int) -> str:
    return f"seed-{seed}"


def _improved_by(store: DecisionStore, workspace: Workspace) -> list[range]:
    """Return the seeds that each improvement used."""
    figures = [version.figures.get("improvement") or {} for version in ModelRegistry(store, workspace).models()]
    return [range(*found["seeds"]) for found in figures if "seeds" in found]


def _is_recorded(store: DecisionStore, seed: int) -> bool:
    return store.last_step(_episode_name(seed)) is not None
