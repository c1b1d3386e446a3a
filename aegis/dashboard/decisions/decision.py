"""A decision as the page shows it: in short for a list, and whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aegis.dashboard.decisions.filter import deferred_spans
from aegis.errors import MissingPackageError, StoreError
from aegis.lifecycle.opening import open_store
from aegis.rendering import clean_text, load_state, render_state
from aegis.serving.point import UnknownDecisionError
from aegis.store import DecisionStore
from aegis.store.archive.reading import ARCHIVED, left
from aegis.types import most_probable
from aegis.workspace import MODEL_PREFIXES, Workspace

_SHORT_CHARACTERS = 160
_MOST_BARS = 6
"""Actions whose probabilities a list shows: the most probable ones and the one taken"""
_WHY = {"unsure": "the HRM was not sure enough", "unlike": "the state is unlike its training, or not read whole"}
"""The words for each column of `deferrals`"""
PLACES = "SELECT CAST(value AS BIGINT) FROM json_each(CAST(? AS TEXT))"
"""The places in a JSON list"""
_SELECT = """
SELECT d.*, o.seq AS outcome_row, o.status, o.reward, o.detail, o.gained, o.result, o.components, o.recorded_at,
    l.seq AS label_row, l.teacher, l.probabilities AS answer, l.reason, c.dollars, f.handed, f.unsure, f.unlike
FROM decisions AS d
LEFT JOIN outcomes AS o ON o.seq = (SELECT MAX(seq) FROM outcomes WHERE decision_id = d.id)
LEFT JOIN labels AS l ON l.decision_id = d.id
LEFT JOIN costs AS c ON c.decision_id = d.id
LEFT JOIN deferrals AS f ON f.decision = d.seq
"""


def read_short(store: DecisionStore, workspace: Workspace, places: Sequence[int]) -> list[dict[str, Any]]:
    """Return the decisions at places in the order of recording, in short, the newest first."""
    sql = f"{_SELECT} WHERE d.seq IN ({PLACES}) ORDER BY d.seq DESC"
    renamed, reasons = store.state.new_names(), _Deferral(store, workspace)
    rows = store.database.query(sql, (json.dumps(list(places)),))
    return [_short(_whole(store, row), renamed, reasons) for row in rows]


def read_whole(workspace: Workspace, id: str) -> dict[str, Any]:
    """Return one decision with everything that is recorded of it; raises `UnknownDecisionError` where there is none."""
    with open_store(workspace) as store:
        rows = store.database.query(f"{_SELECT} WHERE d.id = ?", (id,))
        if not rows:
            raise UnknownDecisionError(f"no decision {id[:100]!r} is recorded here: look for it in the list")
        row, renamed = _whole(store, rows[0]), store.state.new_names()
        short, state = _short(row, renamed, _Deferral(store, workspace), bars=None), load_state(row["state"])
        return short | {
            "state": state,
            "read": render_state(state),
            "actions": [renamed.get(name, name) for name in json.loads(row["actions"])],
            "can_relabel": _can_relabel(store, row),
            "argument": json.loads(row["argument"]),
            "gained": row["gained"],
            "parts": json.loads(row["components"] or "{}"),
            "result": json.loads(row["result"] or "{}"),
            "reported_at": row["recorded_at"],
            "dollars": row["dollars"],
            "reports": _count(store, id),
        }


def newest_after(
    store: DecisionStore, workspace: Workspace, decision: int, outcome: int, most: int
) -> list[dict[str, Any]]:
    """Return what is new in short, the oldest first: decisions after a place, and those with an outcome after one."""
    sql = (
        "SELECT seq FROM decisions WHERE seq > ?1 AND seq <= ?1 + ?3"
        " UNION SELECT d.seq FROM (SELECT decision_id FROM outcomes WHERE seq > ?2 AND seq <= ?2 + ?3) AS o"
        " JOIN decisions AS d ON d.id = o.decision_id WHERE d.seq <= ?1 + ?3"
    )
    places = [int(row["seq"]) for row in store.database.query(sql, (decision, outcome, most))]
    return read_short(store, workspace, places)[::-1]


def _whole(store: DecisionStore, row: Any) -> dict[str, Any]:
    """Return a row with what it left in files of the archive; where they can't be read, the state says why."""
    whole = dict(row)
    try:
        if row["state"] == ARCHIVED:
            whole |= left(store.database, "decision", row["seq"])
        if row["result"] == ARCHIVED:
            whole |= left(store.database, "outcome", row["outcome_row"])
        if row["answer"] == ARCHIVED:
            whole["answer"] = left(store.database, "label", row["label_row"])["probabilities"]
    except (StoreError, MissingPackageError) as error:
        said = {"state": {"archived": str(error)}, "actions": [row["action"]], "argument": {}}
        whole |= {name: json.dumps(value) for name, value in said.items()}
        whole |= {"probabilities": None, "answer": None, "detail": "", "result": "{}", "components": "{}"}
    return whole


class _Deferral:
    """Tells why the teacher made a decision while an HRM served."""

    def __init__(self, store: DecisionStore, workspace: Workspace) -> None:
        claim = store.teacher()
        self._teacher = claim.name if claim else None
        self._spans = deferred_spans(store, workspace) if claim else []

    def why(self, row: dict[str, Any]) -> str:
        if row["handed"]:
            said = [words for column, words in _WHY.items() if row[column]]
            return " and ".join(said)
        if row["policy"] != self._teacher or row["answer"] is not None:
            return ""
        if not any(low < row["seq"] <= high for low, high in self._spans):
            return ""
        return "why is not recorded (e.g. the HRM was not asked, or its time was up)"


def _short(
    row: dict[str, Any], renamed: dict[str, str], deferral: _Deferral, bars: int | None = _MOST_BARS
) -> dict[str, Any]:
    names = [renamed.get(name, name) for name in json.loads(row["actions"])]
    action = renamed.get(row["action"], row["action"])
    shares = json.loads(row["probabilities"]) if row["probabilities"] else None
    return {
        "place": row["seq"],
        "id": row["id"],
        "at": row["decided_at"],
        "episode": row["episode"],
        "step": row["step"],
        "state": clean_text(_in_short(load_state(row["state"])), _SHORT_CHARACTERS),
        "offered": len(names),
        "action": action,
        "words": clean_text(" ".join(json.loads(row["argument"]).values()), _SHORT_CHARACTERS),
        "policy": row["policy"],
        "by_hrm": row["policy"].startswith(MODEL_PREFIXES),
        "propensity": row["propensity"],
        "probabilities": _bars(names, shares, action, bars),
        "deferred": deferral.why(row),
        "drifted": bool(row["unlike"]),
        "other": _other(row, names, action, bars),
        "outcome": row["status"],
        "outcome_place": row["outcome_row"],
        "reward": row["reward"],
        "detail": clean_text(row["detail"] or "", _SHORT_CHARACTERS),
    }


def _bars(names: list[str], shares: list[float] | None, action: str, most: int | None) -> list[dict[str, Any]]:
    """Return the probabilities to draw, the greatest first. most: leave out smaller ones, and those of 0."""
    ranked = sorted(zip(names, shares or [], strict=False), key=lambda one: -one[1])
    if most is not None:
        ranked = [one for place, one in enumerate(ranked) if one[0] == action or (place < most and one[1] > 0)]
    return [{"action": name, "share": share} for name, share in ranked]


def _other(row: dict[str, Any], names: list[str], action: str, most: int | None) -> dict[str, Any] | None:
    """Return what the other policy answered, where it was asked."""
    if row["answer"] is None:
        return None
    shares = json.loads(row["answer"])
    answered = names[most_probable(shares)]
    return {
        "policy": row["teacher"],
        "action": answered,
        "agrees": answered == action,
        "reason": row["reason"],
        "probabilities": _bars(names, shares, answered, most),
    }


def _in_short(state: dict[str, Any]) -> str:
    """Return a state in one line: its values that say something, by name."""
    return "; ".join(f"{name}: {_value(value)}" for name, value in state.items() if value not in (None, "", [], {}))


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _can_relabel(store: DecisionStore, row: dict[str, Any]) -> bool:
    """Return whether a person may still say which action was right: as `relabel` does."""
    claim = store.teacher()
    return claim is not None and row["policy"] != claim.name and row["answer"] is None


def _count(store: DecisionStore, id: str) -> int:
    return int(store.database.query("SELECT COUNT(*) AS n FROM outcomes WHERE decision_id = ?", (id,))[0]["n"])
