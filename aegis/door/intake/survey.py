"""What a file holds, and which of it a decision point takes: kinds of decisions, actions, teacher."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from aegis.door.intake.result import IntakeOptions
from aegis.errors import ConfigError, DataError, TeacherMismatchError
from aegis.formats import Reading, kinds, read_decisions
from aegis.rendering import clean_text, counted
from aegis.store import TeacherClaim
from aegis.store.exchange import POLICY_OF_IMPORTS
from aegis.types import ActionList, ActionSpec, Progress
from aegis.workspace import Workspace

MOST_ACTIONS = 5000
"""A file with more different actions has been misread: a text was taken for the action"""
_SHOWN = 10


@dataclass(slots=True)
class Kind:
    """What the file shows of one kind of decisions."""

    decisions: int = 0
    labels: set[str] = field(default_factory=set)
    teachers: Counter[str] = field(default_factory=Counter)
    dated: bool = True
    """Whether the file says of each decision when it was made"""
    first: datetime | None = None
    """The first moment in the file"""


def survey(path: Path, point: Workspace, options: IntakeOptions, progress: Progress) -> tuple[Reading, str, Kind]:
    """Read the file once for its kinds of decisions; return the reading, and the chosen kind."""
    reading = read_decisions(path, options.form, options.fields, progress)
    found: dict[str, Kind] = {}
    # AEGIS's own records lie in a file for each decision point.
    name_of = kinds("all" if reading.format == "aegis" else options.by)
    for decision in reading.decisions:
        kind = found.setdefault(name_of(decision), Kind())
        kind.decisions += 1
        kind.labels.update((decision.action, *decision.offered))
        if len(kind.labels) > MOST_ACTIONS:
            raise DataError(f"{path}: over {MOST_ACTIONS:,} different actions: name their field with --label")
        kind.dated &= decision.at is not None
        kind.first = kind.first or decision.at
        if decision.teacher:
            kind.teachers[decision.teacher] += 1
    if not found:
        passed = "".join(f"; {counted(count, 'time')} {what}" for what, count in reading.passed.items())
        first = "".join(f"; {one.position}: {clean_text(one.reason, 300)}" for one in reading.first_refused[:1])
        raise DataError(
            f"{path}: no decision in it, read as {reading.format} (--format names another one){passed}{first}"
        )
    name = _choose_kind(path, point, options.kind, found)
    return reading, name, found[name]


def _choose_kind(path: Path, point: Workspace, wanted: str, found: Mapping[str, Kind]) -> str:
    wanted = wanted or (point.folder.name if point.folder.name in found else "")
    if wanted in found:
        return wanted
    if not wanted and len(found) == 1:
        return next(iter(found))
    ordered = sorted(found, key=lambda name: -found[name].decisions)
    shown = "; ".join(f"{name!r} ({found[name].decisions:,})" for name in ordered[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    if not wanted:
        raise DataError(
            f"{path}: several kinds of decisions: {shown}{more}: name one with --from, or tell them apart with --by"
        )
    near = difflib.get_close_matches(wanted, found, 1)
    mean = f"did you mean {near[0]!r}? " if near else ""
    raise DataError(f"{path}: --from {wanted!r}: no such kind of decisions: {mean}There are {shown}{more}")


def choose_teacher(
    path: Path, claim: TeacherClaim | None, kind: Kind, metadata: Mapping[str, Any], wanted: str
) -> TeacherClaim:
    """Return the teacher of a file's decisions: the one wanted, else as the file names it, else as most lines do.

    claim: the point's teacher. Raises `TeacherMismatchError` where the file's is another one.
    """
    given = metadata.get("teacher")
    fields = dict(given) if isinstance(given, Mapping) else {"name": given}
    commonest = kind.teachers.most_common(1)[0][0] if kind.teachers else ""
    named = wanted or str(fields.get("name") or "") or commonest
    if claim is None:
        parameters, source = fields.get("parameters"), fields.get("source")
        size = parameters if isinstance(parameters, int) and not wanted else 0
        return TeacherClaim(named or POLICY_OF_IMPORTS, size, str(source or path))
    if named and named != claim.name:
        raise TeacherMismatchError(
            f"{path}: these decisions are {named}'s, and this decision point belongs to {claim.name}:"
            f" `--teacher {claim.name}` counts them as {claim.name}'s; else use another --point"
        )
    return claim


def new_actions(path: Path, labels: Iterable[str], given: Sequence[str], metadata: Mapping[str, Any]) -> ActionList:
    """Return the actions of a new point: those given, else as an export of AEGIS's describes them, else as shown."""
    labels = set(given or labels)
    if len(labels) < 2:
        raise DataError(
            f"{path}: the only action is {', '.join(labels)}: a decision needs two or more; name all with --actions"
        )
    if given:
        return ActionList(tuple(make_specs(given)))
    with contextlib.suppress(TypeError, KeyError, ConfigError):
        described = ActionList(tuple(ActionSpec(**spec) for spec in metadata["actions"]))
        if labels <= set(described.names):
            return described
    return ActionList(tuple(make_specs(sorted(labels))))


def make_specs(labels: Iterable[str]) -> list[ActionSpec]:
    """Return an action for each label: a name of letters and digits, and the label as its description."""
    specs: list[ActionSpec] = []
    for label in labels:
        plain = " ".join(label.split())
        digest = hashlib.sha256(label.encode("utf-8", "replace")).hexdigest()[:8]
        name = re.sub(r"[^\w-]", "_", plain)
        if not name.strip("_-") or name in {spec.name for spec in specs}:
            name = f"{name.strip('_-') or 'action'}_{digest}"
        taken = {spec.words for spec in specs}
        spoken = " ".join(plain.replace("_", " ").replace("-", " ").split()) or plain
        specs.append(ActionSpec(name, next(one for one in (spoken, plain, name) if one not in taken), plain))
    return specs
