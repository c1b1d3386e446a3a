"""A version's held-out answers beside the decisions that they answer: examples of confusions, two versions compared.

The answers are kept by episode, without ids. An episode's answers are its decisions of the teacher in their order; an
episode where the two do not match (answers were sampled, actions retired) is left out.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from aegis.dashboard.decisions.decision import read_short
from aegis.errors import CheckpointError, DataError
from aegis.hrm import base_of
from aegis.lifecycle.opening import open_store
from aegis.promotion import HeldoutAnswers, ModelRegistry, read_answers
from aegis.store import DecisionStore
from aegis.types import most_probable
from aegis.workspace import Workspace

_SHOWN = 50
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Judged:
    """A held-out decision and a version's answer to it."""

    place: int
    label: int
    """The teacher's action, as a place among the version's actions"""
    taken: int
    """The version's"""
    share: float
    """The probability that the version gave to its own action"""


def locate(store: DecisionStore, answers: HeldoutAnswers, episodes: Collection[str] | None = None) -> dict[int, Judged]:
    """Return held-out answers by the places of their decisions. episodes: those looked at; None: all."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, episode in enumerate(answers.episodes):
        if episodes is None or episode in episodes:
            rows[episode].append(row)
    teacher, renamed = store.teacher(), store.state.new_names()
    made: dict[str, list[tuple[int, str]]] = defaultdict(list)
    sql = (
        "SELECT d.seq, d.episode, d.action"
        " FROM json_each(CAST(? AS TEXT)) AS e JOIN decisions AS d ON d.episode = e.value"
        " WHERE d.policy || '' = ? ORDER BY d.seq"
    )
    for one in store.database.query(sql, (json.dumps(list(rows)), teacher.name if teacher else "")):
        made[one["episode"]].append((int(one["seq"]), renamed.get(one["action"], one["action"])))
    found = {}
    for episode, places in rows.items():
        labels = [answers.actions[answers.labels[row]] for row in places]
        if [action for _, action in made[episode]] == labels:
            for row, (place, _) in zip(places, made[episode], strict=True):
                shares = answers.probabilities[row]
                taken = most_probable(shares)
                found[place] = Judged(place, answers.labels[row], taken, shares[taken])
    return found


def add_examples(
    store: DecisionStore, workspace: Workspace, answers: HeldoutAnswers, pairs: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the pairs that a version confuses with examples of each: the decisions where it was surest."""
    wanted = {(one["teacher"], one["hrm"]) for one in pairs}
    names = answers.actions
    wrong = {
        answers.episodes[row]
        for row, (shares, label) in enumerate(zip(answers.probabilities, answers.labels, strict=True))
        if (names[label], names[most_probable(shares)]) in wanted
    }
    groups: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for one in locate(store, answers, wrong).values():
        groups[names[one.label], names[one.taken]].append(one)
    chosen = {pair: sorted(groups[pair], key=lambda one: -one.share)[:_EXAMPLES] for pair in wanted if pair in groups}
    shown = {
        one["place"]: one
        for one in read_short(store, workspace, [one.place for ones in chosen.values() for one in ones])
    }
    return [
        pair
        | {
            "examples": [
                {"id": shown[one.place]["id"], "state": shown[one.place]["state"], "share": one.share}
                for one in chosen.get((pair["teacher"], pair["hrm"]), [])
            ]
        }
        for pair in pairs
    ]


def compare_versions(workspace: Workspace, one: str, other: str) -> dict[str, Any]:
    """Return how two versions answered the decisions that were held out from both, the differing ones whole.

    Raises `DataError` for a version that is not kept, or has no held-out answers of its own.
    """
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        first, second = _own_answers(registry, one), _own_answers(registry, other)
        left, right = locate(store, first), locate(store, second)
        common = sorted(left.keys() & right.keys(), reverse=True)
        rows = [_pair(place, first, left[place], second, right[place]) for place in common]
        differing = [row for row in rows if row["one"]["action"] != row["other"]["action"]]
        shown = {
            item["place"]: item for item in read_short(store, workspace, [row["place"] for row in differing[:_SHOWN]])
        }
    return {
        "one": one,
        "other": other,
        "common": len(common),
        "agreements": {name: sum(row[name]["right"] for row in rows) for name in ("one", "other")},
        "differing": len(differing),
        "only_one": sum(row["one"]["right"] for row in differing),
        "only_other": sum(row["other"]["right"] for row in differing),
        "examples": [
            row | {"id": shown[row["place"]]["id"], "state": shown[row["place"]]["state"]} for row in differing[:_SHOWN]
        ],
    }


def _pair(place: int, first: HeldoutAnswers, one: Judged, second: HeldoutAnswers, other: Judged) -> dict[str, Any]:
    """Return a decision that two versions were asked about, with both answers."""
    label = first.actions[one.label]
    answers = (("one", first.actions[one.taken], one.share), ("other", second.actions[other.taken], other.share))
    return {"place": place, "teacher": label} | {
        name: {"action": action, "share": share, "right": action == label} for name, action, share in answers
    }


def _own_answers(registry: ModelRegistry, name: str) -> HeldoutAnswers:
    folder = next((one.folder for one in registry.models() if one.name == name), None)
    if folder is None:
        raise DataError(f"no version {name[:100]!r} is kept here: choose two of the list")
    if base := base_of(folder):
        raise DataError(f"{name} was improved from {base} by rewards, and was asked about no held-out decision")
    try:
        return read_answers(folder)
    except CheckpointError as error:
        raise DataError(f"{name} kept no held-out answers: an earlier AEGIS judged it") from error
