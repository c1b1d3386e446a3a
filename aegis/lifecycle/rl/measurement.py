"""What a policy earns in simulated worlds that it never learned in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from aegis.lifecycle.rl.world import World, Worlds
from aegis.promotion.gain import Gain
from aegis.promotion.judging.interval import mean_interval
from aegis.types import ActionList, Policy


@dataclass(frozen=True, slots=True)
class Place:
    """A world to measure in."""

    seed: int
    kind: str
    """One of `Worlds.kinds`"""
    past: int | None = None
    """Seed of the world whose past it shares; None: its own"""


def places_of(worlds: Worlds, seeds: Sequence[int], pasts: Sequence[int] = ()) -> list[Place]:
    """Return a place of each kind for each seed, the kinds of one seed side by side.

    pasts: seeds of the pasts that they share, in turns; none: each seed has its own.
    """
    return [
        Place(seed, kind, pasts[number % len(pasts)] if pasts else None)
        for number, seed in enumerate(seeds)
        for kind in worlds.kinds
    ]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a policy earns in worlds that it never learned in, taking its most probable action."""

    means: tuple[float, ...]
    """Mean reward per decision of each world"""
    actions: Mapping[str, int]
    kinds: tuple[str, ...] = ()
    """Kind of each world; () if there is only one kind"""
    called_for: tuple[int, ...] = ()
    """In each world, decisions in which somebody was there to reward an action (`World.called_for`)"""
    answered: tuple[int, ...] = ()
    """Of these, decisions in which the policy took that action"""

    @property
    def decisions(self) -> int:
        """Made in all of the worlds together."""
        return sum(self.actions.values())

    @property
    def mean(self) -> float:
        return fmean(self.means)

    @property
    def has_kinds(self) -> bool:
        """Whether the worlds are of several kinds."""
        return len(set(self.kinds)) > 1

    @property
    def units(self) -> list[float]:
        """Mean reward per decision of each seed: its worlds of all kinds together, for they share a past."""
        size = max(1, len(set(self.kinds)))
        return [fmean(self.means[first : first + size]) for first in range(0, len(self.means), size)]

    @property
    def interval(self) -> tuple[float, float]:
        """The mean's 95% interval, by Student's t over the seeds."""
        return mean_interval(self.units)

    @property
    def recall(self) -> float | None:
        """Share of the decisions that called for an action in which the policy took it; None if there were none."""
        return sum(self.answered) / sum(self.called_for) if sum(self.called_for) else None

    def of_kind(self, kind: str) -> list[float]:
        """Return the mean rewards of the worlds of one kind."""
        return [mean for mean, of in zip(self.means, self.kinds, strict=True) if of == kind]

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        return {"mean": self.mean, "interval": list(self.interval), "recall": self.recall, **asdict(self)}


def recall_gain(after: Measured, before: Measured, over: str) -> Gain | None:
    """Return the change of the recall with its interval, paired by world, each of which counts the same.

    None where fewer than two worlds call for an action.
    """
    rows = list(zip(after.called_for, after.answered, before.called_for, before.answered, strict=True))
    pairs = [(took / called, had / could) for called, took, could, had in rows if called and could]
    if len(pairs) < 2:
        return None
    return Gain.of_pairs([now for now, _ in pairs], [earlier for _, earlier in pairs], over)


def measure(
    policy: Policy,
    actions: ActionList,
    worlds: Worlds,
    places: Sequence[Place],
    decisions: int,
    tick: Callable[[int], None] = lambda made: None,
    is_enough: Callable[[int], bool] = lambda made: False,
) -> Measured:
    """Let a policy decide in several worlds at once, and return its rewards; tick hears how many decisions were made.

    decisions: in each world. is_enough: hears after each episode how many decisions were made in each world, and tells
    whether the measuring ends there.
    """
    tallies: list[_Tally] = []
    taken: Counter[str] = Counter()
    try:
        for place in places:
            tallies.append(_Tally(worlds.begin(place.seed, place.past, place.kind)))
        for made in range(decisions):
            if made and made % worlds.episode_length == 0:
                if is_enough(made):
                    decisions = made
                    break
                for tally in tallies:
                    tally.end_episode()
            situations = [tally.world.observe() for tally in tallies]
            choices = policy.decide([situation.state for situation in situations], actions)
            for tally, situation, choice in zip(tallies, situations, choices, strict=True):
                taken[tally.act(situation, choice)] += 1
            tick(len(tallies))
        for tally in tallies:
            tally.end_episode()
    finally:
        for tally in tallies:
            tally.world.close()
    return Measured(
        tuple(sum(tally.earned.values()) / decisions for tally in tallies),
        dict(taken.most_common()),
        tuple(place.kind for place in places),
        tuple(tally.called_for for tally in tallies),
        tuple(tally.answered for tally in tallies),
    )


class _Tally:
    """Counts what a policy earns in one world, by its own decisions alone: not by those of the world's past."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.earned: dict[str, float] = {}
        self.called_for = self.answered = 0

    def act(self, situation: Any, choice: Any) -> str:
        """Carry out a choice; return the action."""
        wanted = self.world.called_for(situation)
        step = self.world.act(situation, choice)
        self.earned[step.decision.id] = 0.0
        self._count((step.outcome, *step.late))
        self.called_for += wanted != ""
        self.answered += wanted == step.decision.action.name
        return str(step.decision.action.name)

    def end_episode(self) -> None:
        """Let waiting questions time out, as `aegis/Research-v0` does, and count their rewards."""
        self._count(self.world.wait_out())
        self.world.begin_episode()

    def _count(self, outcomes: Sequence[Any]) -> None:
        for one in outcomes:
            if one.reward is not None and one.decision_id in self.earned:
                self.earned[one.decision_id] = one.reward
