"""Finds the base of a version that phase 4 improved, what it keeps of it, and what a version learned. No torch."""

from __future__ import annotations

from pathlib import Path

from aegis.bounds import read_json
from aegis.config import KeptAction
from aegis.errors import CheckpointError, ConfigError

BASE_FILE = "base.json"
BASE, KEEP = "base", "keep"
"""Its keys"""
_POLICY_FILE = "policy.json"


def base_of(folder: Path) -> str | None:
    """Return the name of a version's base, which is a folder beside it; None for a version stored whole.

    Raises `CheckpointError` for a malformed record.
    """
    path = folder / BASE_FILE
    if not path.exists():
        return None
    try:
        name = read_json(path)[BASE]
        # A file from somebody else could name any folder of this machine.
        if not isinstance(name, str) or not name.startswith("hrm@") or not name.removeprefix("hrm@").isdecimal():
            raise ValueError(f"{name!r:.40} is not a version's name")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: out of form ({error}): use another version (`aegis models`)") from error
    return name


def kept_of(folder: Path) -> tuple[KeptAction, ...]:
    """Return the actions that a version takes wherever its base does; none for a version stored whole.

    Raises `CheckpointError` for a malformed record.
    """
    path = folder / BASE_FILE
    if not path.exists():
        return ()
    try:
        return tuple(KeptAction.parse(one) for one in read_json(path).get(KEEP, []))
    except (OSError, ValueError, TypeError, AttributeError, ConfigError) as error:
        raise CheckpointError(f"{path}: out of form ({error}): use another version (`aegis models`)") from error


def known_actions(folder: Path) -> list[str]:
    """Return the names of the actions that a version learned, as they were then.

    Raises `CheckpointError` for a malformed file.
    """
    base = base_of(folder)
    path = (folder if base is None else folder.parent / base) / _POLICY_FILE
    try:
        return [str(spec["name"]) for spec in read_json(path)["actions"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: out of form ({error}): use another version (`aegis models`)") from error
