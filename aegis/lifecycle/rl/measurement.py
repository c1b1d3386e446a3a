"""What a policy earns in simulated worlds that it never learned in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from aegis.lifecycle.rl.world import World, Worlds
from aegis.promotion.judging.interval import mean_interval
from aegis.types import ActionList, Policy


@dataclass(frozen=True, slots=True)
class Measured:
    """What a policy earns in worlds that it never learned in, taking its most probable action."""

    means: tuple[float, ...]
    """Mean reward per decision of each world"""
    actions: Mapping[str, int]

    @property
    def decisions(self) -> int:
        """Made in all of the worlds together."""
        return sum(self.actions.values())

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


def measure(
    policy: Policy,
    actions: ActionList,
    worlds: Worlds,
    seeds: Iterable[int],
    decisions: int,
    tick: Callable[[int], None],
    past: int | None = None,
    is_enough: Callable[[int], bool] = lambda made: False,
) -> Measured:
    """Let a policy decide in several worlds at once, and return its rewards; tick hears how many decisions were made.

    past: seed of the world whose past they all share; None: each has its own. is_enough: hears after each episode how
    many decisions were made in each world, and tells whether the measuring ends there.
    """
    begun: list[World] = []
    earned: list[dict[str, float]] = []
    taken: Counter[str] = Counter()
    try:
        for seed in seeds:
            begun.append(worlds.begin(seed, past))
            earned.append({})
        for made in range(decisions):
            if made and made % worlds.episode_length == 0:
                if is_enough(made):
                    decisions = made
                    break
                _end_episodes(begun, earned)
            situations = [world.observe() for world in begun]
            choices = policy.decide([situation.state for situation in situations], actions)
            for world, situation, choice, known in zip(begun, situations, choices, earned, strict=True):
                step = world.act(situation, choice)
                taken[step.decision.action.name] += 1
                known |= {one.decision_id: one.reward for one in (step.outcome, *step.late) if one.reward is not None}
            tick(len(begun))
        _end_episodes(begun, earned)
    finally:
        for world in begun:
            world.close()
    return Measured(tuple(sum(known.values()) / decisions for known in earned), dict(taken.most_common()))


def _end_episodes(worlds: Sequence[World], earned: Sequence[dict[str, float]]) -> None:
    """Let waiting questions time out, as `aegis/Research-v0` does, and collect their rewards."""
    for world, known in zip(worlds, earned, strict=True):
        known |= {one.decision_id: one.reward for one in world.wait_out() if one.reward is not None}
        world.begin_episode()
