"""Batches for phase 4: rewarded decisions of a workspace, in stretches of their episodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aegis.store import Example, ImprovementLog
from aegis.training import Transition
from aegis.types import ActionList, State

_MOST_CALLS = 96


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
    called_for: Callable[[State], str] = lambda state: "",
) -> TransitionBatch | None:
    """Return the next batch, the newest `window` decisions whose reward is known; None while too few of them are new.

    after: place of the last outcome learned from; at least `count` outcomes must have come since. since: place after
    which decisions count. called_for: returns the action that somebody is there to reward in a state; '' if none.
    """
    new = log.due(after, since)
    if len(new) < count:
        return None
    due = log.newest(max(window, count), since)
    chosen = {one.decision_id for one in due}
    trajectories = [_to_trajectory(stretch, chosen, actions, called_for) for stretch in log.stretches(due)]
    return TransitionBatch([t for t in trajectories if t], len(due), min(len(new), len(due)), new[-1].place)


def find_calls(
    states: Sequence[State], actions: ActionList, called_for: Callable[[State], str]
) -> list[tuple[State, int]]:
    """Return the newest states that call for an action, each with the action's place, in their order."""
    wanted = [(state, called_for(state)) for state in states]
    return [(state, actions.index(name)) for state, name in wanted if name in actions.names][-_MOST_CALLS:]


def _to_trajectory(
    stretch: Sequence[Example], chosen: set[str], actions: ActionList, called_for: Callable[[State], str]
) -> list[Transition]:
    found = []
    for decision, outcome in stretch:
        if decision.probabilities is None or not set(decision.actions) <= set(actions.names):
            continue
        wanted = called_for(decision.state)
        likely = dict(zip(decision.actions, decision.probabilities, strict=True))
        found.append(
            Transition(
                state=decision.state,
                action=actions.index(decision.action.name),
                probabilities=tuple(likely.get(name, 0.0) for name in actions.names),
                reward=None if outcome is None else outcome.reward,
                offered=tuple(name in likely for name in actions.names),
                learn=decision.id in chosen,
                called_for=actions.index(wanted) if likely.get(wanted) is not None else None,
            )
        )
    return found
