"""Phase 4 in simulated worlds: an HRM learns there from its own decisions, and is measured where it never learned."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from aegis.config import ReinforceConfig
from aegis.errors import ConfigError, DataError
from aegis.hrm import HRMPolicy, kept_of
from aegis.lifecycle.policies.tempered import SamplingPolicy, exploring_temperature
from aegis.lifecycle.rl.judgement import ATTEMPT, Judgement, judge, let_serve, next_attempt
from aegis.lifecycle.rl.measurement import Measured, measure, places_of
from aegis.lifecycle.rl.pace import Pace
from aegis.lifecycle.rl.transition import gather
from aegis.lifecycle.rl.version import Keeper, keep_result, load_pair, quick_policy
from aegis.lifecycle.rl.world import World, Worlds
from aegis.promotion import ModelRegistry, Serving
from aegis.promotion.gain import Gain
from aegis.store import DecisionStore, ImprovementLog
from aegis.training import ReinforceTrainer, UpdateResult
from aegis.types import ActionList, Policy, utc_now
from aegis.workspace import Workspace

WORLD_DECISIONS = 1000
"""Decisions in one world of learning; then a fresh world begins"""
MIXED_DECISIONS = 250
"""The same where there are several kinds of worlds, which take turns"""
MEASURED_WORLDS = 10
MEASURED_DECISIONS = 200
"""In each of them, all kinds of worlds together"""
_FIRST_MEASURED_SEED = 1_000_000_007
_SEEDS = 400_000_000
"""Number of seeds that those of a measurement are drawn from: each measurement has fresh worlds"""
_PREPARED = 16
"""Worlds whose past is lived through before the clock starts: at most as many as are kept"""
_FIRST_COMPARED_SEED = 1_500_000_001
_COMPARED_WORLDS, _COMPARED_DECISIONS, _COMPARED_EVERY = 5, 100, 500
"""Worlds and decisions that compare the policy, each time it made `_COMPARED_EVERY` more; the best is the result"""
_FIRST_LEARNED_SEED = 2_000_000_011
"""Smaller seeds are for worlds that measure, here and in `aegis evaluate`: learning never sees them"""


@dataclass(frozen=True, slots=True)
class SimulationPlan:
    """How phase 4 is to run in simulated worlds. Raises `ConfigError` for what is too little to measure or learn by."""

    decisions: int
    """Decisions to learn from"""
    reinforce: ReinforceConfig = field(default_factory=ReinforceConfig)
    seed: int = 0
    worlds: int = MEASURED_WORLDS
    """Worlds that measure before and after, and are never learned in; of each kind"""
    world_decisions: int = MEASURED_DECISIONS
    """In each of them, all kinds together"""
    device: str = "cpu"
    first_measured: int | None = None
    """The first seed of the worlds that measure; None: drawn afresh, so that no choice has ever seen them"""

    def __post_init__(self) -> None:
        every = self.reinforce.every
        if self.worlds < 2 or self.world_decisions < 1 or self.decisions < every:
            raise ConfigError(f"--decisions: at least --rl-every ({every}); --worlds: at least 2 to measure by")


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """The result of phase 4 in simulated worlds."""

    base: str
    before: str
    """Name of the version that it began with"""
    model: str
    """Name under which the result is kept"""
    decisions: int
    updates: int
    refused: int
    """Updates that were undone"""
    measured_before: Measured
    measured_after: Measured
    serving: Serving | None
    """The result, if it surely earns more and serves from now on; else None"""
    attempt: int = 1
    """Number of the attempt to improve this base"""
    first_measured: int | None = None
    """The first seed of the worlds that measured"""
    may_serve: bool = True
    """False after too little time to judge"""

    @property
    def judgement(self) -> Judgement:
        """What is held against the result."""
        return judge(self.measured_after, self.measured_before, self.before, self.attempt)

    @property
    def gain(self) -> Gain:
        """Mean difference in the same worlds."""
        return self.judgement.gain

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        gain = self.gain
        return {
            "base": self.base,
            "from": self.before,
            "model": self.model,
            "decisions": self.decisions,
            "updates": self.updates,
            "refused": self.refused,
            "before": self.measured_before.to_record(),
            "after": self.measured_after.to_record(),
            "gain": gain.mean,
            "gain_interval": [gain.low, gain.high],
            ATTEMPT: self.attempt if self.may_serve else None,
            "first_measured": self.first_measured,
            "serves": self.serving is not None,
        }


class SimulatedLearning:
    """Lets an HRM decide in one simulated world after another, and learn from its rewards."""

    def __init__(self, policy: HRMPolicy, trainer: ReinforceTrainer, worlds: Worlds, keeper: Keeper, seed: int) -> None:
        self.updates: list[UpdateResult] = []
        self._actions = policy.actions
        drawing = SamplingPolicy(policy, trainer.temperature, random.Random(seed))
        self._policy = keeper.around(drawing, trainer.temperature)
        self._trainer = trainer
        self._worlds = worlds
        self._config = trainer.config
        self._seed = seed

    def prepare(self) -> None:
        """Live through the past of the first world, which takes some seconds."""
        self._worlds.prepare(self._world_seed(0))

    def pasts(self, decisions: int) -> list[int]:
        """Return the seeds of the pasts that this many decisions are made after."""
        worlds = math.ceil(decisions / self._stretch)
        return [self._world_seed(number) for number in range(0, worlds, len(self._worlds.kinds))]

    @property
    def _stretch(self) -> int:
        return WORLD_DECISIONS if len(self._worlds.kinds) == 1 else MIXED_DECISIONS

    def run(
        self,
        decisions: int,
        tick: Callable[[int, UpdateResult | None], None],
        is_enough: Callable[[], bool] = lambda: False,
    ) -> int:
        """Make this many decisions, and an update whenever enough rewards are known; return how many were made.

        is_enough: asked after each update; the learning ends when it returns true.
        """
        kinds = self._worlds.kinds
        for number, first in enumerate(range(0, decisions, self._stretch)):
            asked, kind = min(self._stretch, decisions - first), number % len(kinds)
            past = self._world_seed(number - kind)  # one past for a world of each kind
            with self._worlds.begin(self._world_seed(number), past, kinds[kind]) as world:
                made = self._live(world, asked, tick, is_enough)
            if made < asked:
                return first + made
        return decisions

    def _world_seed(self, number: int) -> int:
        return _FIRST_LEARNED_SEED + self._seed * 100_003 + number

    def _live(
        self,
        world: World,
        decisions: int,
        tick: Callable[[int, UpdateResult | None], None],
        is_enough: Callable[[], bool],
    ) -> int:
        log = ImprovementLog(world.store.database)
        learned_until, before = log.newest_outcome(), world.store.newest()
        for made in range(decisions):
            if made and made % self._worlds.episode_length == 0:
                world.wait_out()
                world.begin_episode()
            situation = world.observe()
            (choice,) = self._policy.decide([situation.state], self._actions)
            world.act(situation, replace(choice, policy="hrm@0"))
            count, window = self._config.every, self._config.window
            batch = gather(log, self._actions, learned_until, before, count, window)
            if batch is not None:
                learned_until = batch.place
                self.updates.append(self._trainer.update(batch.trajectories, new=batch.new))
            tick(1, self.updates[-1] if batch is not None else None)
            if batch is not None and is_enough():
                return made + 1
        return decisions


def improve(
    store: DecisionStore,
    workspace: Workspace,
    worlds: Worlds,
    plan: SimulationPlan,
    *,
    tick: Callable[[str, int, UpdateResult | None], None] = lambda stage, done, result: None,
    pace: Pace | None = None,
) -> SimulationResult:
    """Run phase 4 on the HRM that serves, in simulated worlds; keep the result, and let it serve where it earns more.

    It serves where `judgement` finds nothing against it, in fresh worlds that it never learned in. tick hears
    the stage (`before`, `learning`, `after`), how many decisions more were made, and each update. pace: with
    a limit of seconds, phase 4 makes only the decisions that fit, the measured worlds share one past, and the result
    does not serve, because too little is known of it. Raises `ConfigError` where no HRM serves.
    """
    config, registry, pace = plan.reinforce, ModelRegistry(store, workspace), pace or Pace()
    served = registry.serving()
    if served is None:
        raise ConfigError(f"{workspace.folder}: no HRM serves here: run `aegis train` first, phase 4 improves its HRM")
    policy, base, base_name = load_pair(served.folder, plan.device)
    temperature = config.temperature or exploring_temperature(workspace.models / base_name)
    trainer = ReinforceTrainer(policy.model, base.model, policy.codec, policy.outputs, temperature, config, plan.seed)
    keeper = Keeper(base, config.kept)
    learning = SimulatedLearning(policy, trainer, worlds, keeper, plan.seed)
    drawn = random.SystemRandom().randrange(_SEEDS)
    first = _FIRST_MEASURED_SEED + drawn if plan.first_measured is None else plan.first_measured
    seeds = range(first, first + plan.worlds)
    places = places_of(worlds, seeds, () if pace.seconds is None else seeds[:1])

    def measured(
        stage: str, keeper: Keeper, length: int, is_enough: Callable[[int], bool] = lambda made: False
    ) -> Measured:
        def told(made: int) -> None:
            tick(stage, made, None)

        return measure(keeper.around(quick_policy(policy)), policy.actions, worlds, places, length, told, is_enough)

    pace.lap()
    learning.prepare()
    pace.lived_seconds = pace.lap()
    for world in seeds[: _PREPARED if pace.seconds is None else 1]:
        worlds.prepare(world)
    pace.begin_measuring()
    earlier, length = Keeper(base, kept_of(served.folder)), max(1, plan.world_decisions // len(worlds.kinds))
    before = measured("before", earlier, length, pace.has_measured_enough)
    pace.end_measuring(before.decisions)
    earned = compared_in(learning, worlds, policy.actions, plan.decisions)
    best = BestWeights(policy, trainer, lambda now: earned(keeper.around(now)))
    made = learn_and_choose(learning, best, plan.decisions, config, pace, tick)
    if not learning.updates:
        raise DataError("no reward came to be known: nothing was learned; try more --decisions")
    after = measured("after", keeper, before.decisions // len(places))

    refused = sum(bool(result.fault) for result in learning.updates)
    found = SimulationResult(
        *(base_name, served.name, "", made, len(learning.updates), refused, before, after, None),
        attempt=next_attempt(store, base_name),
        first_measured=first,
        may_serve=pace.seconds is None,
    )
    source = f"{found.decisions} decisions in simulated worlds"
    name = keep_result(registry, (policy, base, base_name), best.learner, source, found.to_record(), config.keep)
    record_curve(store, base_name, name, learning.updates, trainer.learned)
    where = f"per decision more than {found.before} in {len(places)} simulated worlds that it never learned in"
    serving = let_serve(store, registry, name, found.judgement, where) if found.may_serve else None
    return replace(found, model=name, serving=serving)


def learn_and_choose(
    learning: SimulatedLearning,
    best: BestWeights,
    decisions: int,
    config: ReinforceConfig,
    pace: Pace,
    tick: Callable[[str, int, UpdateResult | None], None] = lambda stage, done, result: None,
) -> int:
    """Learn, then return to the best weights on the way; return how many decisions were made."""
    made = last = 0

    def look(done: int, result: UpdateResult | None) -> None:
        nonlocal made, last
        made += done
        tick("learning", done, result)
        if result is not None:
            pace.note_update(made - last)
            last = made
        if decisions >= 2 * _COMPARED_EVERY and (made % _COMPARED_EVERY == 0 or made == decisions):
            best.compare()
            pace.lap()

    learning.run(decisions, look, lambda: pace.has_learned_enough(config.every))
    best.put_back()
    return made


def compared_in(
    learning: SimulatedLearning, worlds: Worlds, actions: ActionList, decisions: int
) -> Callable[[Policy], float]:
    """Return what measures the versions on the way: in fresh worlds, with the pasts that are learned after."""
    first = _FIRST_COMPARED_SEED + random.SystemRandom().randrange(_SEEDS)
    places = places_of(worlds, range(first, first + _COMPARED_WORLDS), learning.pasts(decisions))
    each = _COMPARED_DECISIONS // len(worlds.kinds)
    return lambda policy: measure(policy, actions, worlds, places, each).mean


class BestWeights:
    """The best weights on the way with their learner's state.

    earned: measures what the HRM earns now, in worlds or episodes for this purpose alone.
    """

    def __init__(self, policy: HRMPolicy, trainer: ReinforceTrainer, earned: Callable[[Policy], float]) -> None:
        self._policy = policy
        self._trainer = trainer
        self._earned = earned
        self._weights: dict[str, Any] | None = None
        self._learner: dict[str, Any] | None = None
        self.means: list[float] = []
        """What each compared version earned"""

    @property
    def learner(self) -> dict[str, Any]:
        """Optimizer, value head and counts that belong to the best weights, or to the last, if none were compared."""
        return self._trainer.tensors() if self._learner is None else self._learner

    def compare(self) -> None:
        """Keep the weights and the learner's state as they are now, if they earn the most so far."""
        mean = self._earned(quick_policy(self._policy))
        self.means.append(mean)
        if mean == max(self.means) and self.means.count(mean) == 1:
            self._weights = copy.deepcopy(self._policy.model.state_dict())
            self._learner = {name: tensor.clone() for name, tensor in self._trainer.tensors().items()}

    def put_back(self) -> None:
        """Give the model the best weights, where any were compared."""
        if self._weights is not None:
            self._policy.model.load_state_dict(self._weights)


def estimate_seconds(pace: Pace, decisions: int, worlds: int = MEASURED_WORLDS) -> float:
    """Estimate how long phase 4 takes with this many decisions, from its measured pace."""
    comparisons = decisions // _COMPARED_EVERY if decisions >= 2 * _COMPARED_EVERY else 0
    pasts = worlds + math.ceil(decisions / (2 * MIXED_DECISIONS))
    asked = 2 * worlds * MEASURED_DECISIONS + comparisons * _COMPARED_WORLDS * _COMPARED_DECISIONS
    return pasts * pace.lived_seconds + asked * pace.measured_seconds + decisions * pace.learned_seconds


def record_curve(store: DecisionStore, base: str, model: str, updates: Sequence[UpdateResult], learned: int) -> None:
    """Record the updates that made a version. learned: number of decisions that were learned from after the last."""
    log, now = ImprovementLog(store.database), utc_now()
    learned -= sum(result.decisions for result in updates if not result.fault)
    with store.database.transaction():
        for result in updates:
            learned += 0 if result.fault else result.decisions
            fields = asdict(result) | {"simulated": True}
            log.add(base, model, store.newest(), 0, learned, fields, now)
