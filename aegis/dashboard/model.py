"""The versions of a place's HRM with their verdicts, and an owner's word on which one decides."""

from __future__ import annotations

import getpass
from typing import Any

from aegis.errors import DataError, StoreError
from aegis.lifecycle import describe_monitor, open_store, read_monitor, read_refusals
from aegis.promotion import ModelRegistry, ModelVersion
from aegis.promotion.weights import check_files
from aegis.rendering import clean_text
from aegis.store import DecisionStore
from aegis.workspace import KIND_WORDS, Workspace

TEACHER = "teacher"
_REASON_CHARACTERS = 300
_SHOWN = ("accuracy", "interval", "decisions", "labelled", "source", "calibration_error", "heldout")


def read_versions(workspace: Workspace) -> dict[str, Any]:
    """Return every kept version, what the monitor says of the one that serves, and the candidates that were refused."""
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        served, versions = registry.serving(), registry.models()
        monitor = read_monitor(store, registry, served.name) if served else None
        claim = store.teacher()
        return {
            "serving": served.name if served else None,
            "teacher": claim.name if claim else None,
            "back_to": (registry.last_good() or TEACHER) if served else None,
            "monitor": describe_monitor(monitor) if monitor else "",
            "versions": [_version(store, registry, one) for one in reversed(versions)],
            "refused": [one.to_record() for one in reversed(read_refusals(store))],
        }


def promote(workspace: Workspace, name: str, reason: str) -> str:
    """Let a kept version decide from now on; return what is done, in words.

    Raises `DataError` without a reason, `StoreError` for a name that is unknown or serves already, and
    `ChangedModelError` for a version whose files are not those that were judged.
    """
    why = _check_reason(reason)
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        check_files(store, workspace.models / name)
        with store.database.transaction():
            served = registry.serving()
            if served is not None and served.name == name:
                raise StoreError(f"{name} decides already")
            registry.promote_again(name, _owner(), why)
    return f"{name} decides from now on"


def roll_back(workspace: Workspace, to: str, reason: str) -> str:
    """Let an earlier version, or the teacher, decide; return what is done, in words. Raises as `promote` does.

    to: the version's name, or `teacher`.
    """
    why = _check_reason(reason)
    with open_store(workspace) as store, store.database.transaction():
        registry = ModelRegistry(store, workspace)
        served = registry.serving()
        if served is not None and served.name == to:
            raise StoreError(f"{to} decides already: name another version, or {TEACHER}")
        registry.roll_back(None if to == TEACHER else to, _owner(), why)
    return f"{'the teacher' if to == TEACHER else to} decides from now on"


def _version(store: DecisionStore, registry: ModelRegistry, version: ModelVersion) -> dict[str, Any]:
    state = "serves" if version.serves else version.stage or ("rolled back" if version.rolled_back else "kept")
    return {
        "name": version.name,
        "kind": KIND_WORDS[version.kind],
        "state": state,
        "base": version.base,
        "made_at": version.made_at,
        "promoted_by": version.promoted_by,
        "reason": version.reason,
        "figures": {name: version.figures[name] for name in _SHOWN if name in version.figures},
        "gain": version.gain.describe() if version.gain is not None else "",
        "caution": _caution(registry, version),
    }


def _caution(registry: ModelRegistry, version: ModelVersion) -> str:
    """Return what speaks against letting a version decide; '' where nothing does."""
    if version.rolled_back:
        events = [one for one in registry.events() if one.kind == "rolled_back" and one.previous == version.name]
        return f"it was rolled back: {events[-1].reason}" if events else "it was rolled back"
    if version.gain is not None and version.gain.is_loss:
        return f"it was measured worse than {version.gain.over}: gain {version.gain.words}"
    return ""


def _check_reason(reason: str) -> str:
    why = clean_text(reason, _REASON_CHARACTERS)
    if not why:
        raise DataError("say why: the reason is kept in the record")
    return why


def _owner() -> str:
    return f"{getpass.getuser()} (dashboard)"
