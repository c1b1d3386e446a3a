"""Counts the states that were cut, by how much, and the states from which each field was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from aegis.rendering import counted

if TYPE_CHECKING:
    from aegis.hrm.codec import ReadState, StateCodec


@dataclass(frozen=True, slots=True)
class ReadingReport:
    """Counts of cut states and left-out fields among some states."""

    states: int
    max_tokens: int
    cut: int
    """States with more tokens than `max_tokens`"""
    cut_share: float
    """Mean share of a cut state's tokens that was cut; 0 if no state was cut"""
    left_out: Mapping[str, int]
    """Number of states that had each field to leave out, by its path"""
    renamed: Mapping[str, int] = field(default_factory=dict)
    """Number of states that had each field to rename, by its path"""

    @property
    def states_cut(self) -> float:
        """Share of the states that were cut."""
        return self.cut / self.states if self.states else 0.0

    @property
    def warnings(self) -> list[str]:
        """One sentence for each problem that a person should know."""
        lines = []
        if self.cut:
            lines.append(
                f"{self.cut:,} of {counted(self.states, 'state')} were cut to {self.max_tokens:,} tokens (on average"
                f" {self.cut_share:.0%} of their text): raise --max-tokens, or leave fields out with --exclude"
                " (of a point that is served: max_tokens, exclude)"
            )
        lines += [
            describe_missing(option, path, self.states)
            for option, paths in (("exclude", self.left_out), ("rename", self.renamed))
            for path, found in paths.items()
            if not found and self.states
        ]
        return lines

    @property
    def notes(self) -> list[str]:
        """One sentence for each field that was left out."""
        return [
            f"{path}: left out of {found:,} of {counted(self.states, 'state')}"
            for path, found in self.left_out.items()
            if found
        ]

    def to_record(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return asdict(self)


def describe_missing(option: str, path: str, states: int) -> str:
    """Say that none of so many states has the field of an option, `exclude` or `rename`."""
    inner = "; a field within a text that holds JSON can't be named" if "." in path else ""
    return f"--{option} {path}: none of {counted(states, 'state')} has this field: check the path{inner}"


class ReadingCount:
    """Counts what the codec cuts and leaves out of each state."""

    def __init__(self, codec: StateCodec) -> None:
        self._max_tokens = codec.max_tokens
        self._states = self._cut = 0
        self._cut_shares = 0.0
        self._left_out = dict.fromkeys(codec.exclude, 0)
        self._renamed = dict.fromkeys(codec.rename, 0)

    def add(self, read: ReadState) -> None:
        """Count one state."""
        self._states += 1
        if read.cut:
            self._cut += 1
            self._cut_shares += 1 - len(read.ids) / read.tokens
        for path in read.left_out:
            self._left_out[path] += 1
        for path in read.renamed:
            self._renamed[path] += 1

    def report(self) -> ReadingReport:
        """Return the counts so far."""
        share = self._cut_shares / self._cut if self._cut else 0.0
        kept = dict(self._left_out), dict(self._renamed)
        return ReadingReport(self._states, self._max_tokens, self._cut, share, *kept)
