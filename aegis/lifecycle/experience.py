"""What phase 4 learns from: rewarded decisions of a workspace, in stretches of their episodes. It learns nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aegis.store import Example, ImprovementLog
from aegis.training import Experience
from aegis.types import ActionList


@dataclass(frozen=True, slots=True)
class Lesson:
    """One update's decisions."""

    trajectories: list[list[Experience]]
    decisions: int
    """That it learns from"""
    place: int
    """Of the last outcome among them: the next lesson begins after it"""


MOST_BATCHES = 4
"""Where decisions come faster than updates, one learns from the newest of this many times its number"""


def gather(log: ImprovementLog, actions: ActionList, after: int, since: int, count: int) -> Lesson | None:
    """Return the next lesson of at least so many decisions whose reward is known; None while there are fewer.

    after: place of the last outcome learned from. since: place after which decisions count.
    """
    due = log.due(after, since)
    if len(due) < count:
        return None
    due = due[-MOST_BATCHES * count :]
    chosen = {one.decision_id for one in due}
    trajectories = [_to_trajectory(stretch, chosen, actions) for stretch in log.stretches(due)]
    return Lesson([t for t in trajectories if t], len(due), due[-1].place)


def _to_trajectory(stretch: Sequence[Example], chosen: set[str], actions: ActionList) -> list[Experience]:
    found = []
    for decision, outcome in stretch:
        if decision.probabilities is None or decision.actions != actions.names:
            continue
        found.append(
            Experience(
                state=decision.state,
                action=actions.index(decision.action.name),
                probabilities=decision.probabilities,
                reward=None if outcome is None else outcome.reward,
                learn=decision.id in chosen,
            )
        )
    return found
