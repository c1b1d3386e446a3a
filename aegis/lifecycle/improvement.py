"""Phase 4 in simulated worlds: an HRM learns there from its own decisions, and is measured where it never learned."""

from __future__ import annotations

import copy
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from aegis.agent import RESEARCH_ACTIONS, RewardTable, SettingBook, World, Worlds, most_probable
from aegis.agent.search import SearchChain
from aegis.config import PHASE_1_DECISIONS, AgentConfig, ReinforceConfig
from aegis.errors import ConfigError, DataError
from aegis.hrm import HRMPolicy, base_of, load_version, write_delta
from aegis.lifecycle.experience import gather
from aegis.lifecycle.sharpening import Chooser, SharpenedPolicy, exploring_temperature
from aegis.promotion import ModelRegistry, Serving
from aegis.promotion.interval import mean_interval
from aegis.promotion.registry import IMPROVEMENT
from aegis.store import DecisionStore, ImprovementLog
from aegis.training import ReinforceTrainer, UpdateResult
from aegis.types import Policy, utc_now
from aegis.workspace import Workspace

LEARNER_FILE = "learner.safetensors"
WORLD_DECISIONS = 1000
"""In one world that is learned in; then a fresh one begins"""
MEASURED_WORLDS = 10
MEASURED_DECISIONS = 200
"""In each of them"""
_FIRST_MEASURED_SEED = 1_000_000_007
_FIRST_COMPARED_SEED = 1_500_000_001
_COMPARED_WORLDS, _COMPARED_DECISIONS, _COMPARED_EVERY = 5, 100, 500
"""After so many decisions what is learned by then is measured, in worlds of its own; the best of these is the result"""
_FIRST_LEARNED_SEED = 2_000_000_011
"""Worlds of smaller seeds are never learned in: those that measure, and those of `aegis evaluate`"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a policy earns in worlds that it never learned in, taking its most probable action."""

    means: tuple[float, ...]
    """Mean reward per decision of each world"""
    actions: Mapping[str, int]

    @property
    def mean(self) -> float:
        return fmean(self.means)

    @property
    def interval(self) -> tuple[float, float]:
        """The mean's 95% interval, by Student's t over the worlds."""
        return mean_interval(self.means)

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        return {"mean": self.mean, "interval": list(self.interval), "means": list(self.means), **asdict(self)}


@dataclass(frozen=True, slots=True)
class Improved:
    """What phase 4 came to in simulated worlds."""

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
    """The result, where it earns surely more and serves from now on"""

    @property
    def gain(self) -> tuple[float, tuple[float, float]]:
        """Mean difference in the same worlds, and its 95% interval."""
        pairs = zip(self.measured_after.means, self.measured_before.means, strict=True)
        differences = [after - before for after, before in pairs]
        return fmean(differences), mean_interval(differences)

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        gain, interval = self.gain
        return {
            "base": self.base,
            "from": self.before,
            "model": self.model,
            "decisions": self.decisions,
            "updates": self.updates,
            "refused": self.refused,
            "before": self.measured_before.to_record(),
            "after": self.measured_after.to_record(),
            "gain": gain,
            "gain_interval": list(interval),
            "serves": self.serving is not None,
        }


def measure(
    policy: Policy, worlds: Worlds, seeds: Iterable[int], decisions: int, tick: Callable[[int], None]
) -> Measured:
    """Let a policy decide in some worlds at once and return what it earned; tick hears how many decisions were made."""
    begun: list[World] = []
    earned: list[dict[str, float]] = []
    actions: Counter[str] = Counter()
    try:
        for seed in seeds:
            begun.append(worlds.begin(seed))
            earned.append({})
        for made in range(decisions):
            if made and made % worlds.config.episode_length == 0:
                _end_episodes(begun, earned)
            situations = [world.observe() for world in begun]
            answers = policy.probabilities([situation.state for situation in situations], RESEARCH_ACTIONS)
            for world, situation, answer, known in zip(begun, situations, answers, earned, strict=True):
                step = world.act(situation, most_probable(answer), answer, policy.name)
                actions[step.decision.action.name] += 1
                known |= {one.decision_id: one.reward for one in (step.outcome, *step.late) if one.reward is not None}
            tick(len(begun))
        _end_episodes(begun, earned)
    finally:
        for world in begun:
            world.close()
    return Measured(tuple(sum(known.values()) / decisions for known in earned), dict(actions.most_common()))


def _end_episodes(worlds: Sequence[World], earned: Sequence[dict[str, float]]) -> None:
    """Let the time pass in which what waits for an answer times out, as `aegis/Research-v0` does, and go on."""
    for world, known in zip(worlds, earned, strict=True):
        known |= {one.decision_id: one.reward for one in world.wait_out() if one.reward is not None}
        world.begin_episode()


class SimulatedLearning:
    """Lets an HRM decide in one simulated world after another, and learn from it."""

    def __init__(
        self, policy: HRMPolicy, trainer: ReinforceTrainer, worlds: Worlds, config: ReinforceConfig, seed: int
    ) -> None:
        self.updates: list[UpdateResult] = []
        self._policy = SharpenedPolicy(policy, trainer.temperature)
        self._trainer = trainer
        self._worlds = worlds
        self._config = config
        self._seed = seed
        self._choose = Chooser(random.Random(seed))

    def run(self, decisions: int, tick: Callable[[int, UpdateResult | None], None]) -> None:
        """Make so many decisions, and an update whenever enough rewards are known."""
        for first in range(0, decisions, WORLD_DECISIONS):
            with self._worlds.begin(_FIRST_LEARNED_SEED + self._seed * 100_003 + first) as world:
                self._live(world, min(WORLD_DECISIONS, decisions - first), tick)

    def _live(self, world: World, decisions: int, tick: Callable[[int, UpdateResult | None], None]) -> None:
        log = ImprovementLog(world.store.database)
        learned_until, before = log.newest_outcome(), world.store.newest()
        for made in range(decisions):
            if made and made % self._worlds.config.episode_length == 0:
                world.wait_out()
                world.begin_episode()
            situation = world.observe()
            answer = self._policy.probabilities([situation.state], RESEARCH_ACTIONS)[0]
            world.act(situation, self._choose(answer), answer, "hrm@0")
            lesson = gather(log, RESEARCH_ACTIONS, learned_until, before, self._config.every, self._config.window)
            if lesson is not None:
                learned_until = lesson.place
                self.updates.append(self._trainer.update(lesson.trajectories, new=lesson.new))
            tick(1, self.updates[-1] if lesson is not None else None)


def improve(
    store: DecisionStore,
    workspace: Workspace,
    search: SearchChain,
    decisions: int,
    config: ReinforceConfig | None = None,
    *,
    seed: int = 0,
    worlds: int = MEASURED_WORLDS,
    world_decisions: int = MEASURED_DECISIONS,
    lived: int = PHASE_1_DECISIONS,
    device: str = "cpu",
    agent: AgentConfig | None = None,
    tick: Callable[[str, int, UpdateResult | None], None] = lambda stage, done, result: None,
) -> Improved:
    """Run phase 4 on the HRM that serves, in simulated worlds; keep the result, and let it serve where it earns more.

    It serves where the 95% interval of the gain, in the same worlds that it never learned in, lies above 0. worlds,
    world_decisions: how many measure it, and for how long. lived: decisions made in each world before. tick hears the
    stage (`before`, `learning`, `after`), how many decisions more were made, and each update. Raises `ConfigError`
    where no HRM serves.
    """
    config, registry = config or ReinforceConfig(), ModelRegistry(store, workspace)
    if worlds < 2 or world_decisions < 1 or decisions < config.every:
        raise ConfigError(f"--decisions: at least --rl-every ({config.every}); --worlds: at least 2 to measure by")
    served = registry.serving()
    if served is None:
        raise ConfigError(f"{workspace.folder}: no HRM serves here: run `aegis train` first, phase 4 improves its HRM")
    policy, base, base_name = load_pair(served.folder, device)
    book = SettingBook(store.database)
    agent = book.agent_config(agent or AgentConfig())
    rewards: RewardTable = book.reward_table(agent)

    simulated = Worlds(search, search.topics(), agent, rewards, lived=lived)
    seeds = range(_FIRST_MEASURED_SEED, _FIRST_MEASURED_SEED + worlds)
    before = measure(policy, simulated, seeds, world_decisions, lambda done: tick("before", done, None))
    temperature = config.temperature or exploring_temperature(workspace.models / base_name)
    trainer = ReinforceTrainer(policy.model, base.model, policy.codec, RESEARCH_ACTIONS, temperature, config, seed)
    learning = SimulatedLearning(policy, trainer, simulated, config, seed)
    best, best_mean, made = None, -math.inf, 0

    def look(done: int, result: UpdateResult | None) -> None:
        nonlocal best, best_mean, made
        made += done
        tick("learning", done, result)
        if decisions >= 2 * _COMPARED_EVERY and (made % _COMPARED_EVERY == 0 or made == decisions):
            compared = range(_FIRST_COMPARED_SEED, _FIRST_COMPARED_SEED + _COMPARED_WORLDS)
            mean = measure(policy, simulated, compared, _COMPARED_DECISIONS, lambda more: None).mean
            if mean > best_mean:
                best, best_mean = copy.deepcopy(policy.model.state_dict()), mean

    learning.run(decisions, look)
    if best is not None:
        policy.model.load_state_dict(best)
    if not learning.updates:
        raise DataError("no reward came to be known: nothing was learned; try more --decisions")
    after = measure(policy, simulated, seeds, world_decisions, lambda done: tick("after", done, None))

    def save(name: str, folder: Path) -> None:
        write_delta(policy, base.model, base_name, name, folder, {LEARNER_FILE: trainer.tensors()})

    refused = sum(bool(result.fault) for result in learning.updates)
    counts = (decisions, len(learning.updates), refused)
    found = Improved(base_name, served.name, "", *counts, before, after, None)
    gain, (low, high) = found.gain
    figures = {"source": f"{decisions} decisions in simulated worlds", "improvement": found.to_record()}
    name = registry.keep(save, figures | {"parameters": policy.parameters, "decisions": decisions}, base_name)
    _record_curve(store, base_name, name, learning, trainer)
    serving = None
    if low > 0:
        reason = (
            f"it earns {gain:+.3f} (95% interval {low:+.3f} to {high:+.3f}) per decision more than {served.name}"
            f" in {worlds} simulated worlds that it never learned in"
        )
        with store.database.transaction():
            now = registry.serving()
            if now is not None and now.name == served.name:  # else somebody has promoted or rolled back meanwhile
                serving = registry.promote_again(name, IMPROVEMENT, reason)
    return Improved(base_name, served.name, name, *counts, before, after, serving)


def load_pair(folder: Path, device: str) -> tuple[HRMPolicy, HRMPolicy, str]:
    """Return a version as a policy that may be changed, its base as another one, and the base's name."""
    name = base_of(folder) or folder.name
    base = load_version(folder.parent / name, device=device)
    return load_version(folder, base if name != folder.name else None, device), base, name


def _record_curve(
    store: DecisionStore, base: str, model: str, learning: SimulatedLearning, trainer: ReinforceTrainer
) -> None:
    log, now, learned = ImprovementLog(store.database), utc_now(), trainer.learned
    learned -= sum(result.decisions for result in learning.updates if not result.fault)
    with store.database.transaction():
        for result in learning.updates:
            learned += 0 if result.fault else result.decisions
            fields = asdict(result) | {"simulated": True}
            log.add(base, model, store.newest(), 0, learned, fields, now)
