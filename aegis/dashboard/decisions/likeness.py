"""Decisions in training that are most like one decision, by the words of their states."""

from __future__ import annotations

from typing import Any

from aegis.dashboard.decisions.decision import read_short
from aegis.lifecycle.opening import open_store
from aegis.promotion.judging.resemblance import resemblance, shingles_of
from aegis.rendering import load_state, render_state
from aegis.serving.point import UnknownDecisionError
from aegis.store import TrainingLog
from aegis.store.archive.reading import fill
from aegis.workspace import Workspace

LOOKED_AT = 2_000
"""The newest decisions of the teacher that are compared; a second would not do for all of a million"""
_SHOWN = 5


def read_like(workspace: Workspace, id: str) -> dict[str, Any]:
    """Return the teacher's decisions before the newest training whose states share most word triples with one state.

    Of the newest `LOOKED_AT`, at most five, the most alike first, with their resemblance (Jaccard, 0 to 1). Raises
    `UnknownDecisionError`.
    """
    with open_store(workspace) as store:
        example, teacher = store.get(id), store.teacher()
        if example is None:
            raise UnknownDecisionError(f"no decision {id[:100]!r} is recorded here: look for it in the list")
        training = TrainingLog(store.database).latest_of_workspace()
        if teacher is None or training is None:
            return {"compared": 0, "decisions": []}
        rows = store.database.query(
            "SELECT seq, state FROM (SELECT seq, state, policy, id FROM decisions WHERE seq <= ? ORDER BY seq DESC"
            " LIMIT ?) AS newest WHERE policy = ? AND id <> ?",
            (training.last_seq, 2 * LOOKED_AT, teacher.name, id),
        )[:LOOKED_AT]
        rows = fill(store.database, "decision", rows)
        own = shingles_of(render_state(example.decision.state))
        shares = {int(row["seq"]): resemblance(own, shingles_of(_text(row["state"]))) for row in rows}
        nearest = sorted((share, place) for place, share in shares.items() if share > 0)[-_SHOWN:]
        shown = read_short(store, workspace, [place for _, place in nearest])
    alike = sorted(shown, key=lambda one: -shares[one["place"]])
    return {"compared": len(rows), "decisions": [one | {"resemblance": shares[one["place"]]} for one in alike]}


def _text(state: str) -> str:
    return render_state(load_state(state))
