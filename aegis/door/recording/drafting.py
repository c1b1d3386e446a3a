"""Choices become recorded decisions, each the next step of its episode.

A `Decider` records in the thread of its journal, the research agent in its own thread; both call this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from aegis.store import DecisionStore, ImprovementLog
from aegis.store.calls import Call, CallBook
from aegis.store.decisions import Draft
from aegis.store.deferral import note_deferral
from aegis.types import Action, Choice, Decision, State, new_id, utc_now


@dataclass(frozen=True, slots=True)
class Outside:
    """An action that somebody outside took; its probabilities are unknown."""

    action: str
    policy: str
    """Who took it"""


class Drafted(NamedTuple):
    """A decision before it is recorded."""

    draft: Draft
    choice: Choice | None
    """What decided; None where somebody outside did"""
    call: Call | None = None
    """The request to a language model that the decision answers"""


def draft(
    state: State,
    offered: tuple[str, ...],
    choice: Choice | Outside,
    episode: str | None,
    *,
    id: str | None = None,
    argument: Mapping[str, str] | None = None,
    decided_at: datetime | None = None,
    call: Call | None = None,
) -> Drafted:
    """Return the decision that a choice makes, for `record`.

    offered: names of the actions on offer, in order. episode: None for a decision that stands alone. id: of the
    decision; a new one by default. argument: of the action taken. decided_at: now by default. call: the request to a
    language model that the decision answers.
    """
    known = choice if isinstance(choice, Choice) else None
    probabilities, propensity = (known.probabilities, known.propensity) if known else (None, None)
    action, moment = Action(choice.action, argument or {}), decided_at or utc_now()
    own_id, own_episode = id or new_id(), episode or new_id()

    def make(step: int) -> Decision:
        return Decision(
            *(own_episode, step, state, offered, action, probabilities, choice.policy),
            *(own_id, moment, propensity),
        )

    return Drafted(Draft(own_episode, make, begins=episode is None), known, call)


def record(store: DecisionStore, drafted: Sequence[Drafted]) -> list[Decision]:
    """Record decisions in one transaction, all or none, and return them in their order.

    With each come the reason of its deferral and the turn that was drawn for it, if any.
    Raises `DataError` for an action that was not on offer, `StoreError` for an id that is recorded.
    """
    with store.database.transaction():
        made = store.append_next([one.draft for one in drafted])
        for one, decision in zip(drafted, made, strict=True):
            note_deferral(store.database, decision.id, one.choice)
            ImprovementLog(store.database).note_turn(decision.id, one.choice)
            if one.call is not None:
                CallBook(store.database).append(decision.id, one.call)
    return made
