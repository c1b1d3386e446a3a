"""Phase 4 in an environment: the HRM plays episodes, learns from their rewards, and is judged on others.

The updates are those of `aegis.training.reinforce`. The agent's own room has the environments: it hands down `play`.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from aegis.config import ReinforceConfig
from aegis.envs.episode import Episode
from aegis.envs.evaluation import Evaluation
from aegis.errors import ConfigError
from aegis.hrm import kept_of
from aegis.lifecycle.policies.tempered import SamplingPolicy, exploring_temperature
from aegis.packages import imports_explained
from aegis.promotion import ModelRegistry, Serving
from aegis.promotion.gain import Gain
from aegis.store import DecisionStore
from aegis.types import ActionList, Policy, Progress
from aegis.workspace import Workspace

if TYPE_CHECKING:
    from aegis.lifecycle.rl.simulated import BestWeights
    from aegis.training import ReinforceTrainer, Transition, UpdateResult

EPISODIC = ReinforceConfig(
    every=256,
    window=256,
    learning_rate=3e-5,
    value_rate=1e-2,
    discount=0.9,
    trace_decay=0.9,
    passes=4,
    entropy=0.01,
)
"""Phase 4's settings for episodes whose reward may come at their end, many decisions later"""
FIRST_SEED = 2_000_000
"""Of the episodes to learn from; smaller seeds are for experts and for `evaluate`"""
_COMPARISONS = 5
"""Times on the way that the HRM is compared, to take the best"""
_FIRST_ROUND, _LARGEST_ROUND = 8, 64
"""Episodes between two looks at whether an update is due"""

Play = Callable[[Policy, Sequence[int]], Iterator[Episode]]
"""The episodes of these seeds, played by a policy"""


@dataclass(frozen=True, slots=True)
class ImprovementPlan:
    """Which episodes are for what; none is for two. Raises `ConfigError` for what is too little to judge by."""

    episodes: int
    """To learn from"""
    compared: int
    """To choose the best version on the way by"""
    measured: int
    """To judge it by: no choice has seen them"""
    first_seed: int
    reinforce: ReinforceConfig = EPISODIC
    device: str = "cpu"

    def __post_init__(self) -> None:
        if min(self.episodes, self.compared) < 1 or self.measured < 2:
            raise ConfigError("improve: at least 1 episode to learn from, 1 to compare by, and 2 to measure by")

    @property
    def seeds(self) -> range:
        """All of them, in the order: learned from, compared, measured."""
        return range(self.first_seed, self.first_seed + self.episodes + self.compared + self.measured)

    def split(self) -> tuple[range, range, range]:
        """Return the seeds to learn from, to compare and to measure by."""
        learned, seen = self.episodes, self.episodes + self.compared
        return self.seeds[:learned], self.seeds[learned:seen], self.seeds[seen:]


@dataclass(frozen=True, slots=True)
class ImprovementResult:
    """What the HRM learned from its own episodes, measured before and after in the same fresh ones."""

    base: str
    before: str
    """Name of the version that it began with"""
    model: str
    """Name under which the result is kept"""
    episodes: int
    decisions: int
    updates: int
    refused: int
    """Updates that were undone"""
    seconds: float
    """That learning and choosing took, without the measurements"""
    seeds: range
    """Of all the episodes that were played"""
    measured_before: Evaluation
    measured_after: Evaluation
    serving: Serving | None = None
    """The result, if it surely earns more and serves from now on; else None"""

    @property
    def gain(self) -> Gain:
        """Mean difference in return of the same episodes, with its 95% interval by Student's t over episodes."""
        return Gain.of_pairs(self.measured_after.returns, self.measured_before.returns, self.before)

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        gain = self.gain
        return {
            "base": self.base,
            "from": self.before,
            "model": self.model,
            "episodes": self.episodes,
            "decisions": self.decisions,
            "updates": self.updates,
            "refused": self.refused,
            "seconds": self.seconds,
            "seeds": [self.seeds.start, self.seeds.stop],
            "before": self.measured_before.to_record(),
            "after": self.measured_after.to_record(),
            "gain": gain.mean,
            "gain_interval": [gain.low, gain.high],
            "serves": self.serving is not None,
        }

    def __str__(self) -> str:
        end = "serves" if self.serving is not None else "is kept and does not serve"
        return (
            f"before: {self.measured_before}\nafter: {self.measured_after}\n"
            f"return {self.gain.words}; {self.model} {end}"
        )


class EpisodeLearning:
    """Lets an HRM play episodes by drawn actions, and updates it after every so many decisions of whole episodes.

    drawing: the HRM as it plays. known: its actions.
    """

    def __init__(
        self, drawing: Policy, known: ActionList, trainer: ReinforceTrainer, play: Play, actions: ActionList
    ) -> None:
        self.updates: list[UpdateResult] = []
        self.episodes = self.decisions = 0
        self._drawing = drawing
        self._places = [actions.index(name) for name in known.names]
        self._trainer = trainer
        self._play = play
        self._actions = actions
        self._window: deque[list[Transition]] = deque()
        self._new = 0

    def run(self, seeds: Sequence[int], updated: Callable[[], None]) -> None:
        """Play an episode for each seed and learn; the last update takes what is left. updated: hears each update."""
        while len(seeds):
            round_, seeds = seeds[: self._count_round()], seeds[self._count_round() :]
            for episode in sorted(self._play(self._drawing, round_), key=lambda one: one.seed):
                self._window.append(self._to_trajectory(episode))
                self._new += len(episode.turns)
                self.decisions += len(episode.turns)
            self.episodes += len(round_)
            if self._new >= self._trainer.config.every or not len(seeds):
                self._update()
                updated()

    def _count_round(self) -> int:
        """Return how many episodes the next update probably lacks."""
        if not self.episodes:
            return _FIRST_ROUND
        lacking = (self._trainer.config.every - self._new) * self.episodes / self.decisions
        return min(_LARGEST_ROUND, max(1, round(lacking)))

    def _update(self) -> None:
        held, bound = sum(map(len, self._window)), max(self._new, self._trainer.config.window)
        while held - len(self._window[0]) >= bound:
            held -= len(self._window.popleft())
        self.updates.append(self._trainer.update(list(self._window), new=self._new))
        self._new = 0

    def _to_trajectory(self, episode: Episode) -> list[Transition]:
        from aegis.training import Transition

        last = len(episode.turns) - 1
        return [
            Transition(
                state=turn.state,
                action=self._places.index(self._actions.index(turn.choice.action)),
                probabilities=tuple(turn.choice.probabilities[place] for place in self._places),
                reward=turn.reward,
                learn=turn.choice.drawn,
                ends=episode.terminated and step == last,
            )
            for step, turn in enumerate(episode.turns)
        ]


def improve_by_episodes(
    store: DecisionStore,
    workspace: Workspace,
    plan: ImprovementPlan,
    play: Play,
    actions: ActionList,
    succeeded: Callable[[Episode], bool],
    progress: Progress,
) -> ImprovementResult:
    """Improve the HRM that serves; keep the result, and let it serve where it surely earns more.

    Raises `ConfigError` where no HRM serves.
    """
    with imports_explained("phase 4", "train"):
        from aegis.lifecycle.rl import version as phase
        from aegis.lifecycle.rl.judgement import ATTEMPT, judge_pairs, let_serve, next_attempt
        from aegis.lifecycle.rl.simulated import BestWeights, record_curve
        from aegis.training import ReinforceTrainer

    registry, config = ModelRegistry(store, workspace), plan.reinforce
    served = registry.serving()
    if served is None:
        raise ConfigError(f"{workspace.folder}: no HRM serves here: collect and train first, phase 4 improves its HRM")
    policy, base, base_name = pair = phase.load_pair(served.folder, plan.device)
    temperature = config.temperature or exploring_temperature(workspace.models / base_name)
    trainer = ReinforceTrainer(policy.model, base.model, policy.codec, policy.outputs, temperature, config)
    keeper, earlier = phase.Keeper(base, config.kept), phase.Keeper(base, kept_of(served.folder))
    drawing = keeper.around(SamplingPolicy(policy, temperature, random.Random(plan.first_seed)), temperature)
    learning = EpisodeLearning(drawing, policy.actions, trainer, play, actions)
    learned, compared, measured = plan.split()

    def measure(name: str, stage: str, keeper: phase.Keeper) -> Evaluation:
        playing = play(keeper.around(phase.quick_policy(policy)), measured)
        return Evaluation.of(name, _count(playing, lambda done: progress(stage, done, len(measured))), succeeded)

    before = measure(served.name, "Measuring the HRM before it learns", earlier)
    best = BestWeights(policy, trainer, lambda now: fmean(each.total for each in play(keeper.around(now), compared)))
    seconds = _learn(learning, learned, best, progress)
    after = measure(f"{served.name}, improved", "Measuring the improved HRM", keeper)
    refused = sum(bool(result.fault) for result in learning.updates)
    counts = (learning.episodes, learning.decisions, len(learning.updates), refused)
    found = ImprovementResult(base_name, served.name, "", *counts, round(seconds, 1), plan.seeds, before, after)
    source = f"{found.decisions} decisions in {found.episodes} episodes of its own"
    attempt = next_attempt(store, base_name)
    name = phase.keep_result(registry, pair, best.learner, source, found.to_record() | {ATTEMPT: attempt}, config.keep)
    record_curve(store, base_name, name, learning.updates, trainer.learned)
    where = f"per episode more than {served.name} in {plan.measured} episodes that no choice had seen"
    judged = judge_pairs(after.returns, before.returns, served.name, attempt)
    return replace(found, model=name, serving=let_serve(store, registry, name, judged, where))


def _learn(learning: EpisodeLearning, seeds: range, best: BestWeights, progress: Progress) -> float:
    """Learn from the episodes of these seeds, and return to the best weights on the way; return the seconds it took."""
    began, compared = time.perf_counter(), 0
    best.compare()

    def updated() -> None:
        nonlocal compared
        progress("Learning from its own episodes", learning.episodes, len(seeds))
        if learning.episodes - compared >= len(seeds) / _COMPARISONS or learning.episodes == len(seeds):
            best.compare()
            compared = learning.episodes

    learning.run(seeds, updated)
    best.put_back()
    return time.perf_counter() - began


def _count(episodes: Iterator[Episode], tick: Callable[[int], None]) -> Iterator[Episode]:
    for done, episode in enumerate(episodes, 1):
        tick(done)
        yield episode
