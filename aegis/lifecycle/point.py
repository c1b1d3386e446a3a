"""What a decision point decides about: its actions, with their words and descriptions, and how they change.

The workspace records every action that some process has claimed. A process may claim fewer: it then decides among
those. Decisions keep the names under which they were made; they are read under the present names.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from aegis.errors import ConfigError, StoreError
from aegis.store import DecisionStore, StateKey
from aegis.types import ActionList, ActionSpec, list_names

Adoption = Callable[[ActionList], ActionList]
"""Makes of the actions that an HRM was trained on those among which it decides"""


@dataclass(frozen=True, slots=True)
class ActionChanges:
    """What became of a point's actions since its first decision. Each may be said again and again."""

    retired: Sequence[str] | None = None
    """All actions that are no longer taken; None: those that were retired before"""
    renamed: Mapping[str, str] | None = None
    """New names by old names; empty: a name that is new is a new action"""


@dataclass(frozen=True, slots=True)
class PointActions:
    """The actions of a decision point as its workspace records them."""

    actions: ActionList
    """In use, in the order of trained models and datasets"""
    retired: tuple[ActionSpec, ...] = ()
    renamed: Mapping[str, str] | None = None
    """Present names by former names"""

    def adopt(self, known: ActionList) -> ActionList:
        """Return what a trained HRM decides among: the actions that it knows, by their present names, and the new ones.

        A renamed action keeps the words that the HRM learned it by.
        """
        specs = [replace(spec, name=(self.renamed or {}).get(spec.name, spec.name)) for spec in known]
        names = {spec.name for spec in specs}
        return ActionList((*specs, *(spec for spec in self.actions if spec.name not in names)))


def read_actions(store: DecisionStore, default: ActionList | None = None) -> ActionList:
    """Return the actions in use at a workspace's decision point.

    default: the actions of an agent whose earlier versions recorded none; without it, the names in the newest decision
    count as their words. Raises `StoreError` where the record can't be read, or nothing is recorded at all.
    """
    return read_point(store, default).actions


def read_point(store: DecisionStore, default: ActionList | None = None) -> PointActions:
    """Return the actions of a workspace's decision point, and what became of earlier ones.

    default, and what is raised: as for `read_actions`.
    """
    if (recorded := _read_record(store)) is not None:
        return recorded
    if default is not None:
        return PointActions(default)
    if not (names := read_names(store)):
        raise StoreError(f"{store.database.path}: no actions are recorded: open it with its agent first")
    return PointActions(ActionList(tuple(ActionSpec(name, name, name) for name in names)))


def read_adoption(store: DecisionStore) -> Adoption:
    """Return what makes of a trained HRM's actions those of the point (`PointActions.adopt`)."""
    recorded = _read_record(store)
    return (lambda known: known) if recorded is None else recorded.adopt


def read_renames(store: DecisionStore) -> Mapping[str, str]:
    """Return the present names of a point's renamed actions, by former names."""
    recorded = _read_record(store)
    return (recorded.renamed if recorded else None) or {}


def describe_untaught(store: DecisionStore, version: str, known: Sequence[str]) -> str:
    """Return what to do where a version that knows these actions meets new ones in the place of retired ones; else ''.

    Where a retired action was right, it may take a new one, of which it has learned nothing.
    """
    point = read_point(store)
    taught = {(point.renamed or {}).get(name, name) for name in known}
    gone = [spec.name for spec in point.retired if spec.name in taught]
    new = [name for name in point.actions.names if name not in taught]
    if not gone or not new:
        return ""
    return (
        f"{version} has learned {list_names(gone)}, retired now, and nothing of {list_names(new)}: it may take a new"
        " action where a retired one was right. `aegis rollback` lets the teacher decide until a training learned it"
    )


def find_present_names(store: DecisionStore, names: Sequence[str], setting: str) -> tuple[str, ...]:
    """Return the present names of these actions; raises `ConfigError`, naming the setting, for one never recorded."""
    point = read_point(store)
    present = tuple((point.renamed or {}).get(name, name) for name in names)
    known = {*point.actions.names, *(spec.name for spec in point.retired)}
    if unknown := [name for name in present if name not in known]:
        raise ConfigError(f"{setting}: {list_names(unknown)} is no action here: there are {list_names(sorted(known))}")
    return present


def read_names(store: DecisionStore) -> tuple[str, ...]:
    """Return the names of a decision point's actions; of the newest decision's where none are recorded, or none."""
    fields = store.state.record(StateKey.ACTIONS)
    if fields is not None:
        return tuple(spec["name"] for spec in fields["actions"])
    newest = store.recent(1)
    return newest[0].decision.actions if newest else ()


def read_retired(store: DecisionStore) -> list[str]:
    """Return the names of a decision point's retired actions."""
    fields = store.state.record(StateKey.ACTIONS) or {}
    return [spec["name"] for spec in fields.get("retired", ())]


def claim_actions(store: DecisionStore, actions: ActionList, changes: ActionChanges | None = None) -> None:
    """Record the actions among which this process decides, and what became of earlier ones.

    Descriptions and words may change, and actions may be added, without a word. An action that is missing is only not
    on offer in this process. Raises `ConfigError` where one action is missing and another one is new and the changes
    don't say why, or where the list holds a retired action or a former name: nothing is changed then.
    """
    changes = changes or ActionChanges()
    with store.database.transaction():
        known = _read_record(store)
        if known is None:  # decisions of an earlier version, each perhaps among some of the actions only, or none
            names = read_names(store)
            fits = set(names) <= set(actions.names)
            known = PointActions(actions if fits else ActionList(tuple(ActionSpec(one, one, one) for one in names)))
        claim = _Claim(str(store.database.path), known)
        claim.rename(actions, changes.renamed or {})
        claim.retire(actions, changes.retired)
        claim.check(actions, changes)
        claim.add(actions)
        store.state.keep(
            StateKey.ACTIONS,
            {
                "actions": [asdict(spec) for spec in claim.in_use.values()],
                "retired": [asdict(spec) for spec in claim.retired.values()],
            },
        )
        if claim.renamed:
            store.state.keep(StateKey.RENAMED, claim.renamed)


def _read_record(store: DecisionStore) -> PointActions | None:
    """Return what the workspace records; None where it records nothing."""
    try:
        fields = store.state.record(StateKey.ACTIONS)
        if fields is None:
            return None
        actions = ActionList(tuple(ActionSpec(**spec) for spec in fields["actions"]))
        retired = tuple(ActionSpec(**spec) for spec in fields.get("retired", ()))
        return PointActions(actions, retired, store.state.new_names())
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise StoreError(
            f"{store.database.path}: the recorded actions can't be read ({error}): restore a copy"
        ) from error


class _Claim:
    """The actions of a point while a process's list is joined with them. where: for messages."""

    def __init__(self, where: str, known: PointActions) -> None:
        self._where = where
        self.in_use = {spec.name: spec for spec in known.actions}
        self.retired = {spec.name: spec for spec in known.retired}
        self.renamed = dict(known.renamed or {})

    def rename(self, actions: ActionList, renamed: Mapping[str, str]) -> None:
        for old, new in renamed.items():
            if old in actions and new not in actions:
                raise self._refused(
                    f"renamed={{{old!r}: {new!r}}}, but the list has the former name {old!r}: put {new!r} in its place"
                )
            if old in actions or (old in self.in_use and new in self.in_use):
                raise self._refused(f"renamed={{{old!r}: {new!r}}}, but both are actions: leave one out")
            if old not in self.in_use:
                continue  # it was renamed before, or this point never had it
            if new not in actions and new not in renamed and new not in self.in_use:
                raise self._refused(
                    f"renamed={{{old!r}: {new!r}}}, but {new!r} is not in the list: add it, or correct it"
                )
            self.in_use = {
                new if name == old else name: replace(spec, name=new) if name == old else spec
                for name, spec in self.in_use.items()
            }
            self.renamed = {past: new if now == old else now for past, now in self.renamed.items()} | {old: new}
            self.renamed.pop(new, None)  # it got an earlier name back

    def retire(self, actions: ActionList, retired: Sequence[str] | None) -> None:
        if retired is None:
            return
        if isinstance(retired, str):
            raise self._refused(f"retired={retired!r} is one text: give a list of names, e.g. retired=[{retired!r}]")
        names = [self.renamed.get(name, name) for name in retired]
        if both := [name for name in names if name in actions]:
            raise self._refused(f"{list_names(both)}: retired and in the list of actions: leave it out of one")
        known = self.in_use | self.retired
        missing = [name for name in self.in_use if name not in actions and name not in names]
        if (unknown := [name for name in names if name not in known]) and missing:
            raise self._refused(
                f"retired: {list_names(unknown)} is no action here, and {list_names(missing)} is missing from the list"
            )
        self.in_use = {name: spec for name, spec in known.items() if name not in names}
        self.retired = {name: spec for name, spec in known.items() if name in names}

    def check(self, actions: ActionList, changes: ActionChanges) -> None:
        """Raise `ConfigError` where the list has former names or retired actions, or may hold a slip of the pen."""
        if former := [name for name in actions.names if name in self.renamed]:
            raise self._refused(f"{former[0]!r} was renamed to {self.renamed[former[0]]!r}: use the new name")
        if gone := [name for name in actions.names if name in self.retired]:
            raise self._refused(f"{list_names(gone)} was retired: leave it out, or bring it back by retired=[]")
        missing = [name for name in self.in_use if name not in actions]
        new = [name for name in actions.names if name not in self.in_use]
        explained = changes.retired is not None or changes.renamed is not None
        if missing and new and (not explained or set(new) & set((changes.renamed or {}).values())):
            meant = difflib.get_close_matches(new[0], missing, 1)
            raise self._refused(
                f"{list_names(missing)} is missing and {list_names(new)} is new: "
                + (f"did you mean {meant[0]}? Else " if meant else "")
                + f"say renamed={{{missing[0]!r}: {new[0]!r}}} or retired=[{missing[0]!r}], or renamed={{}} if nothing"
                " was renamed; or use another point name"
            )

    def add(self, actions: ActionList) -> None:
        self.in_use |= {spec.name: spec for spec in actions}

    def _refused(self, why: str) -> ConfigError:
        return ConfigError(f"{self._where}: this decision point's actions are {list_names(list(self.in_use))}: {why}")
