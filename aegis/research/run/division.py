"""Counts, choice by choice, how decisions were divided between an HRM and its teacher."""

from __future__ import annotations

from dataclasses import dataclass

from aegis.types import Choice


@dataclass
class _Count:
    kept: int = 0
    deferred: int = 0
    unlike: int = 0
    teacher: str = ""


class Division:
    """Counts who decided while an HRM served. defer_below: confidence below which its teacher decided, if any."""

    def __init__(self, defer_below: float | None = None) -> None:
        self._defer_below = defer_below
        self._counts: dict[str, _Count] = {}

    def note(self, choice: Choice, serving: str) -> None:
        """Count a choice while this HRM served; a choice that could not be deferred is skipped."""
        if choice.out_of_distribution is None and self._defer_below is None:
            return
        count = self._counts.setdefault(serving, _Count())
        count.unlike += bool(choice.out_of_distribution)
        if choice.policy == serving:
            count.kept += 1
        else:
            count.deferred += 1
            count.teacher = choice.policy

    def describe(self) -> list[str]:
        """Return a line for each HRM that says who decided, and why."""
        lines = []
        for name, one in self._counts.items():
            total = one.kept + one.deferred
            if not one.deferred:
                lines.append(f"{name} decided all {total}: none was handed to the teacher")
                continue
            why = [f"its confidence was below {self._defer_below:g}"] if self._defer_below else []
            if self._defer_below is None and one.deferred > one.unlike:
                why = ["its confidence was below the one that its promise needs"]
            why += [f"the state was unlike those in training ({one.unlike} were)"] if one.unlike else []
            lines.append(
                f"{name} decided {one.kept} of {total} ({one.kept / total:.0%}),"
                f" {one.teacher} the other {one.deferred}, where {' or '.join(why)}"
            )
        return lines
