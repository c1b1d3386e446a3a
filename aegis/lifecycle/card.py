"""What an export says of its decisions: their data card."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aegis.lifecycle.point import read_actions
from aegis.store import DecisionStore, StateKey
from aegis.types import ActionList


def describe_collection(store: DecisionStore, default: ActionList | None = None) -> dict[str, Any]:
    """Return an export's teacher, prompt, runs and counts of actions.

    default: as for `read_actions`; the actions of an agent whose teacher was asked by the prompt.
    """
    from aegis.teachers.prompt import QUESTION, render_instructions

    teacher, actions = store.teacher(), read_actions(store, default)
    return {
        "teacher": asdict(teacher) if teacher else None,
        "actions": [asdict(spec) for spec in actions],
        "prompt": render_instructions(actions) + "{state}" + QUESTION if actions == default else None,
        "runs": sorted(store.state.records(StateKey.COLLECTION), key=lambda run: str(run["at"])),
        "action_counts": store.action_counts(teacher.name if teacher else None),
    }
