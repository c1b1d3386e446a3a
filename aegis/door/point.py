"""A decision point in an open store: its choices become recorded decisions.

It belongs to the store's thread. `Decider` calls it in the thread of its journal, the research agent in its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from aegis.store import DecisionStore
from aegis.store.deferral import note_deferral
from aegis.types import Action, Choice, Decision, State, new_id, utc_now


@dataclass(frozen=True, slots=True)
class Outside:
    """An action that somebody outside took; its probabilities are unknown."""

    action: str
    policy: str
    """Who took it"""


class DecisionPoint:
    """Records the decisions of one point; each is durable on return, unless the caller's transaction is still open."""

    def __init__(self, store: DecisionStore) -> None:
        self._store = store

    def record(
        self,
        state: State,
        offered: tuple[str, ...],
        choice: Choice | Outside,
        episode: str,
        *,
        id: str | None = None,
        argument: Mapping[str, str] | None = None,
        decided_at: datetime | None = None,
    ) -> Decision:
        """Record a choice as the next decision of its episode, with the reason of a deferral.

        offered: names of the actions on offer, in order. id: of the decision; a new one by default. argument: of the
        action taken. decided_at: now by default. Raises `DataError` for an action that was not on offer, `StoreError`
        for an id that is recorded.
        """
        known = choice if isinstance(choice, Choice) else None
        with self._store.database.transaction():  # no other process may take the step in between
            last = self._store.last_step(episode)
            decision = Decision(
                episode,
                0 if last is None else last + 1,
                state,
                offered,
                Action(choice.action, argument or {}),
                known.probabilities if known else None,
                choice.policy,
                id or new_id(),
                decided_at or utc_now(),
                known.propensity if known else None,
            )
            self._store.append(decision)
            note_deferral(self._store.database, decision.id, known)
        return decision
