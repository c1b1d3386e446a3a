"""The decision points that a server serves, each opened when it is first asked for.

A point without a teacher here is decided by its clients until an HRM does: they send what they decided.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aegis.config import MonitorConfig
from aegis.door import Decided, Decider
from aegis.errors import ConfigError, DataError, StoreError, TeacherError
from aegis.lifecycle import Standing, open_store, read_standing
from aegis.lifecycle.event import RunEvent
from aegis.lifecycle.point import read_actions
from aegis.promotion import ModelRegistry, ModelVersion
from aegis.serving.setting import PointConfig
from aegis.teachers import at_address, load_teacher
from aegis.types import ActionList, Choice, State, Teacher
from aegis.workspace import Workspace

CLIENTS = "clients"
"""The name of the teacher of a new point whose clients decide"""


class UnknownPointError(StoreError):
    """The workspace has no such decision point, and the configuration names none."""


class UnknownDecisionError(StoreError):
    """The decision point has no such decision."""


class UnknownActionError(DataError):
    """The decision point has no such action."""


class NobodyDecidesError(TeacherError):
    """No teacher is configured and no HRM can decide: the client is to decide."""

    def __init__(self, message: str, actions: Sequence[str]) -> None:
        super().__init__(message)
        self.actions = tuple(actions)


class ClientTeacher:
    """Stands for the clients of a point, who decide and send what they decided: it decides nothing itself."""

    parameters = 0

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Raise `NobodyDecidesError`."""
        raise NobodyDecidesError(
            f"no HRM can decide this and no teacher is configured: decide by {self.name} and send the action as"
            ' {"decided": ACTION}, or name a teacher in the file of --config',
            actions.names,
        )


@dataclass(frozen=True, slots=True)
class NewPoint:
    """What a point is made of that the workspace and the configuration don't have yet."""

    actions: Sequence[str] | Mapping[str, str]
    teacher: str
    """The name of who decides"""
    source: str


class PointBook:
    """The points of one workspace, by name. Any thread may call it. hear: takes a point's name and what happens there.

    Raises `UnknownPointError`, and what making a `Decider` raises, where a point can't be opened.
    """

    def __init__(
        self,
        workspace: Path,
        configured: Mapping[str, PointConfig],
        hear: Callable[[str, RunEvent], None] = lambda name, event: None,
    ) -> None:
        self._workspace = Workspace(workspace)
        self._configured = configured
        self._hear = hear
        self._open: dict[str, Decider] = {}
        self._lock = threading.Lock()
        self._closed = False

    def names(self) -> list[str]:
        """Return the names of the points that are recorded, sorted."""
        return self._workspace.points()

    def open_configured(self) -> None:
        """Open every point of the configuration, so that a mistake in it shows at once."""
        for name in self._configured:
            self.find(name)

    def find(self, name: str, new: NewPoint | None = None) -> Decider:
        """Return a point's decider. new: what to make the point of where it is not there."""
        decider = self._open.get(name)
        if decider is not None:
            return decider
        with self._lock:
            if self._closed:
                raise StoreError("the server stops: ask another one")
            if name not in self._open:
                self._open[name] = self._make(name, new)
            return self._open[name]

    def report(self, name: str, decision: str, **report: Any) -> None:
        """Record what came of a decision, as `Decider.report`; raises `UnknownDecisionError` for one not recorded."""
        decider = self.find(name)
        try:
            decider.report(decision, **report)
        except StoreError as error:
            with open_store(decider.workspace) as store:
                if store.get(decision) is not None:
                    raise
            raise UnknownDecisionError(f"point {name!r} has no decision {decision!r}: check its id") from error

    def decide(self, name: str, state: Any, *, offered: Sequence[str] | None, episode: str | None) -> Decided:
        """Decide, as `Decider.decide`; raises `UnknownActionError` for an offer that names no action of the point."""
        return self._find_for(name, offered or ()).decide(state, offered=offered, episode=episode)

    def record(
        self, name: str, state: Any, action: str, *, offered: Sequence[str] | None, episode: str | None
    ) -> Decided:
        """Record a decision that a client made, as `Decider.record`; raises as `decide` does."""
        decider = self._find_for(name, (action, *(offered or ())))
        return decider.record(state, action, offered=offered, episode=episode)

    def standing(self, name: str) -> Standing:
        """Return where a point stands."""
        return read_standing(self._existing(name))

    def models(self, name: str) -> list[ModelVersion]:
        """Return the HRMs of a point."""
        workspace = self._existing(name)
        with open_store(workspace) as store:
            return ModelRegistry(store, workspace).models()

    def close(self) -> None:
        """Close every point; a training that runs is resumed by the next start."""
        with self._lock:
            self._closed = True
            for decider in self._open.values():
                decider.close()

    def _find_for(self, name: str, named: Sequence[str]) -> Decider:
        """Return a point's decider; raises `UnknownActionError` where an action that a client named is not its."""
        decider = self.find(name)
        for action in named:
            if action not in decider.actions.names:
                known = ", ".join(decider.actions.names)
                raise UnknownActionError(f"unknown action {action[:100]!r}: the list of point {name!r} is {known}")
        return decider

    def _existing(self, name: str) -> Workspace:
        with suppress(ConfigError):
            workspace = self._workspace.point(name)
            if workspace.database.exists():
                return workspace
        raise UnknownPointError(f"no decision point {name[:100]!r}: there are {', '.join(self.names()) or 'none'}")

    def _make(self, name: str, new: NewPoint | None) -> Decider:
        config = self._configured.get(name)
        workspace = self._workspace.point(name) if config or new else self._existing(name)
        actions, teacher = self._recorded(workspace)
        if config is not None and config.teacher:
            named = at_address(config.teacher, config.base_url) if config.base_url else config.teacher
            teacher = load_teacher(named)
        given = actions or (config and config.actions) or (new and new.actions)
        if not given:
            raise ConfigError(f"points.{name}: is new and has no actions: give actions = [...] in the file of --config")
        if teacher is None:
            teacher = ClientTeacher(new.teacher, new.source) if new else ClientTeacher(CLIENTS, "requests")
        monitor = MonitorConfig()
        if isinstance(teacher, ClientTeacher):  # nobody can be asked beside the decisions
            monitor = replace(monitor, audit_rate=0.0)
        return Decider(
            name,
            (config and config.actions) or given,
            teacher,
            workspace=self._workspace.folder,
            config=(config or PointConfig()).to_decider(monitor=monitor),
            notify=lambda event: self._hear(name, event),
        )

    def _recorded(self, workspace: Workspace) -> tuple[ActionList | None, Teacher | None]:
        """Return the actions and the teacher that a point records, where it does."""
        if not workspace.database.exists():
            return None, None
        with open_store(workspace) as store:
            claim = store.teacher()
            if claim is None:
                return None, None
            return read_actions(store), ClientTeacher(claim.name, claim.source)
