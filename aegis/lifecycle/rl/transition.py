"""Batches for phase 4: rewarded decisions of a workspace, in stretches of their episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aegis.store import Example, ImprovementLog
from aegis.training import Transition
from aegis.types import ActionList


@dataclass(frozen=True, slots=True)
class TransitionBatch:
    """One update's decisions."""

    trajectories: list[list[Transition]]
    decisions: int
    """Number of decisions in the batch"""
    new: int
    """Of them, decisions whose reward is new since the last batch"""
    place: int
    """Of the last outcome among them: the next batch begins after it"""


def gather(
    log: ImprovementLog,
    actions: ActionList,
    after: int,
    since: int,
    count: int,
    window: int,
) -> TransitionBatch | None:
    """Return the next batch, the newest `window` decisions whose reward is known; None while too few of them are new.

    after: place of the last outcome learned from; at least `count` outcomes must have come since. since: place after
    which decisions count.
    """
    new = log.due(after, since)
    if len(new) < count:
        return None
    due = log.newest(max(window, count), since)
    chosen = {one.decision_id for one in due}
    trajectories = [_to_trajectory(stretch, chosen, actions) for stretch in log.stretches(due)]
    return TransitionBatch([t for t in trajectories if t], len(due), min(len(new), len(due)), new[-1].place)


def _to_trajectory(stretch: Sequence[Example], chosen: set[str], actions: ActionList) -> list[Transition]:
    found = []
    for decision, outcome in stretch:
        if decision.probabilities is None or not set(decision.actions) <= set(actions.names):
            continue
        likely = dict(zip(decision.actions, decision.probabilities, strict=True))
        found.append(
            Transition(
                state=decision.state,
                action=actions.index(decision.action.name),
                probabilities=tuple(likely.get(name, 0.0) for name in actions.names),
                reward=None if outcome is None else outcome.reward,
                offered=tuple(name in likely for name in actions.names),
                learn=decision.id in chosen,
                decision=decision.id,
            )
        )
    return found
