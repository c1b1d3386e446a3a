"""The table of deferrals: what was handed to the teacher, and what was unlike the training."""

from __future__ import annotations

from aegis.store.database import Database
from aegis.types import Choice


def note_deferral(database: Database, decision_id: str, choice: Choice | None) -> None:
    """Keep with a decision why the HRM did not make it, in the transaction that recorded it; nothing for most choices.

    choice: what decided; None where an outsider did.
    """
    if choice is None or not (choice.deferred or choice.out_of_distribution):
        return
    handed, unsure = bool(choice.deferred), "unsure" in choice.deferred
    unlike = bool(choice.out_of_distribution) or "unlike" in choice.deferred
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO deferrals (decision, handed, unsure, unlike) SELECT seq, ?, ?, ? FROM decisions WHERE id = ?",
            (handed, unsure, unlike, decision_id),
        )
