"""The options of an import, and its result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from aegis.formats import By, Fields
from aegis.rendering import clean_text
from aegis.types import ActionList

KEPT_REFUSALS = 100
"""Refused lines that are kept to be shown; all are counted"""
_REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class IntakeOptions:
    """How a file is imported."""

    form: str = "auto"
    """The file's format, one of `aegis.formats.FORMATS`"""
    fields: Fields = field(default_factory=Fields)
    by: By = "auto"
    """What tells the kinds of decisions in the file apart"""
    kind: str = ""
    """Which decisions of the file; '' for its only kind, or the one that bears the point's name"""
    teacher: str = ""
    """Counts all decisions as this teacher's; '' for what the file says"""
    actions: tuple[str, ...] = ()
    """The actions of a new point, in this order; empty for those that the file shows"""


@dataclass(slots=True)
class Intake:
    """The result of an import."""

    format: str
    kind: str
    actions: ActionList
    teacher: str
    counts: Counter[str] = field(default_factory=Counter)
    """The added decisions by action, the commonest first"""
    already_there: int = 0
    rewards: int = 0
    """Outcomes recorded"""
    refused: int = 0
    first_refused: list[tuple[str, str]] = field(default_factory=list)
    """The position and the reason of the first refused lines"""
    passed: Counter[str] = field(default_factory=Counter)
    """What holds no decision, by what it is"""
    other_kinds: int = 0
    """Decisions of the file's other kinds, left out"""
    other_teachers: Counter[str] = field(default_factory=Counter)
    """Added decisions that another than the point's teacher made, by who made them"""
    undated: int = 0
    """Added decisions whose time the file does not say"""
    dated: bool = False
    """Whether the file says of some decisions when they were made; the others are placed just after them"""
    blocks: int = 0
    """Added decisions whose episode the file does not say: so many in a row stand for one"""
    nameless: int = 0
    """Decisions already there that have neither an id nor a time, so that an equal one of a later day can't be told"""
    notes: tuple[str, ...] = ()
    """What the reader found out by itself"""
    renamed: int = 0
    """Added decisions whose id in the file another decision has"""

    @property
    def added(self) -> int:
        return self.counts.total()

    def refuse(self, position: str, reason: str) -> None:
        """Count a refused line, and keep the first ones."""
        self.refused += 1
        if len(self.first_refused) < KEPT_REFUSALS:
            self.first_refused.append((position, clean_text(reason, _REASON_CHARACTERS)))
