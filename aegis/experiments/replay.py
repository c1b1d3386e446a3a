"""Asks a kept version its recorded decisions again, to see whether it still chooses what it chose.

A version, its files and its decisions are all recorded, so the same choices must come again. They don't where a file or
the reading of a state has changed, or where another version is asked, which is then how the two differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from aegis.errors import DataError
from aegis.lifecycle import open_store
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.promotion import ModelRegistry, Serving
from aegis.rendering import counted
from aegis.types import ActionList, Choice, Decision, Policy, Progress, list_names, unheard
from aegis.workspace import Workspace

_TOGETHER = 64
"""States that a version is asked at once"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision in which the version chooses another action now."""

    decision: str
    """Its id"""
    before: str
    now: str
    probability_before: float | None
    """Of the action chosen before, as recorded; None where none were, or where those of a draw were"""
    probability_now: float
    """Of the same action"""


@dataclass(slots=True)
class Replay:
    """A version asked again about recorded decisions."""

    recorded: str
    """Who made the decisions"""
    asked: str
    decisions: int = 0
    """Decisions that it was asked about"""
    unknown: int = 0
    """Decisions left out: among their actions are some that the version does not know"""
    without: int = 0
    """Decisions whose probabilities were not recorded"""
    drawn: int = 0
    """Decisions drawn at random: recorded are the probabilities of the draw, which are not the version's own"""
    largest: float | None = None
    """The largest difference of a probability among the other decisions; None if there are none"""
    differences: list[Difference] = field(default_factory=list)

    def to_record(self) -> dict[str, Any]:
        """Return the replay as a JSON object."""
        names = ("recorded", "asked", "decisions", "unknown", "without", "drawn", "largest")
        fields = {name: getattr(self, name) for name in names}
        differences = [{name: getattr(one, name) for name in Difference.__slots__} for one in self.differences]
        return fields | {"differences": differences}


def replay(
    workspace: Workspace,
    asked: Sequence[str] = (),
    recorded: str | None = None,
    newest: int = 1000,
    device: str = "cpu",
    backend: str = "auto",
    progress: Progress = unheard,
) -> Iterator[Replay]:
    """Yield for each version what it chooses now where a choice is recorded.

    asked: names of versions; all that are kept and decided, by default. recorded: whose decisions, a version or a
    teacher; each version's own by default. newest: how many of them. Raises `DataError` for a version that is not kept,
    and where there is nothing to ask about; `ChangedModelError` for a version whose files have changed.
    """
    with open_store(workspace) as store:
        folders = {version.name: version.folder for version in ModelRegistry(store, workspace).models()}
        if missing := [name for name in asked if name not in folders]:
            raise DataError(f"{list_names(missing)}: not kept here: there are {list_names(list(folders)) or 'none'}")
        pairs = []
        for name in asked or list(folders):
            decisions = [example.decision for example in store.recent(newest, recorded or name)]
            if decisions:
                pairs.append((name, decisions))
    if not pairs:
        whose = f"{recorded!r}" if recorded else "the versions asked"
        raise DataError(f"{workspace.folder}: no decisions of {whose} are recorded: `aegis models` shows what decided")
    loader = VersionLoader(workspace, device, backend)
    for place, (name, decisions) in enumerate(pairs):
        progress(f"Asking {name} again", place, len(pairs))
        policy = loader.load(Serving(name, folders[name], ""))
        found = Replay(recorded or name, name)
        for decision, choice in _ask(policy, decisions, found):
            _compare(decision, choice, found)
        yield found


def describe(found: Replay) -> str:
    """Return a replay in one line."""
    whose = "its own" if found.recorded == found.asked else f"{found.recorded}'s"
    same = found.decisions - len(found.differences)
    share = f" ({same / found.decisions:.2%})" if found.decisions else ""
    left_out = f"; {counted(found.unknown, 'decision')} with unknown actions left out" if found.unknown else ""
    return (
        f"{found.asked} on {counted(found.decisions, 'decision')} of {whose}: the same choice in {same}{share};"
        f" {_describe_largest(found)}{left_out}"
    )


def _describe_largest(found: Replay) -> str:
    """Say how far probabilities differ, and in how many decisions they can't be compared."""
    apart = []
    if found.without:
        apart.append(f"none are recorded of {found.without:,}")
    if found.drawn:
        apart.append(f"{found.drawn:,} were drawn and record the probabilities of the draw")
    if found.largest is None:
        return "no probabilities to compare" + (f": {', '.join(apart)}" if apart else "")
    return f"largest difference of a probability {found.largest:.4f}" + (f" ({', '.join(apart)})" if apart else "")


def _ask(policy: Policy, decisions: Sequence[Decision], found: Replay) -> Iterator[tuple[Decision, Choice]]:
    """Yield each decision with the policy's choice now; decisions of the same actions are asked together."""
    specs = {spec.name: spec for spec in policy.actions}  # type: ignore[attr-defined]
    for names, group in groupby(sorted(decisions, key=lambda one: one.actions), key=lambda one: one.actions):
        together = list(group)
        if not specs.keys() >= set(names):
            found.unknown += len(together)
            continue
        actions = ActionList(tuple(specs[name] for name in names))
        for start in range(0, len(together), _TOGETHER):
            part = together[start : start + _TOGETHER]
            choices = policy.decide([decision.state for decision in part], actions)
            yield from zip(part, choices, strict=True)


def _compare(decision: Decision, choice: Choice, found: Replay) -> None:
    found.decisions += 1
    before = decision.action.name
    recorded = dict(zip(decision.actions, decision.probabilities or (), strict=False))
    own: dict[str, float] = {}
    if not recorded:
        found.without += 1
    elif decision.propensity is None:
        own = recorded
    else:  # what it would have chosen is compared; exploration has changed the probabilities
        found.drawn += 1
        before = max(recorded, key=recorded.__getitem__)
    now = dict(zip(decision.actions, choice.probabilities, strict=True))
    if own:
        found.largest = max(found.largest or 0.0, *(abs(now[name] - own[name]) for name in now))
    if choice.action != before:
        found.differences.append(Difference(decision.id, before, choice.action, own.get(before), now[before]))
