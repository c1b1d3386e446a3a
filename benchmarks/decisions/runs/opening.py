"""Openings of the test parts, each recorded with date, commit and result in a file that is committed.

An opening is recorded before a test decision is read, so that none is forgotten. Its result is a second line.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.decisions.problem import Problem

OPENINGS = Path(__file__).parents[1] / "openings.jsonl"


@dataclass(frozen=True, slots=True)
class Opening:
    """The permission to read a problem's test part; `open_recorded` makes it."""

    problem: str
    date: str
    commit: str


def open_recorded(problem: Problem, path: Path = OPENINGS, repository: Path = OPENINGS.parent) -> Opening:
    """Record that a problem's test part is opened, and return the record.

    Raises `SystemExit` where the code is not committed: a result belongs to a commit.
    """
    opening = Opening(problem.name, datetime.now(UTC).isoformat(timespec="seconds"), find_commit(repository, path))
    _append(path, asdict(opening))
    return opening


def record_result(opening: Opening, result: dict[str, Any], path: Path = OPENINGS) -> None:
    """Record what an opening showed."""
    _append(path, asdict(opening) | {"result": result})


def read_commit(repository: Path = OPENINGS.parent) -> str | None:
    """Return the commit that is checked out; None where there is no repository."""
    try:
        return _git(repository, "rev-parse", "HEAD").strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def find_commit(repository: Path, openings: Path) -> str:
    """Return the commit of the code; raises `SystemExit` for changes that are not committed.

    openings: a file that may have changed, because openings are written to it.
    """
    changed = [line for line in _git(repository, "status", "--porcelain").splitlines() if openings.name not in line]
    if changed:
        raise SystemExit(f"not committed: {', '.join(line[3:] for line in changed)}: commit, then open the test parts")
    return str(read_commit(repository))


def _git(repository: Path, *arguments: str) -> str:
    command: Sequence[str] = ("git", *arguments)
    return subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True).stdout


def _append(path: Path, record: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
