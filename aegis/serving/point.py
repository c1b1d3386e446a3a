"""The decision points that a server serves, each opened when it is first asked for.

A point without a teacher here is decided by its clients until an HRM does: they send what they decided.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis.door import Decided, Decider, DeciderConfig
from aegis.door.bill import Bill, read_bill, read_prices
from aegis.door.outcome import find_decisions
from aegis.door.teacher import AbsentTeacher
from aegis.errors import AegisError, ConfigError, DataError, StoreError
from aegis.lifecycle import Standing, find_serving, open_store, read_standing
from aegis.lifecycle.event import RunEvent
from aegis.lifecycle.point import read_actions
from aegis.promotion import ModelRegistry, ModelVersion
from aegis.serving.setting import GatewayConfig, PointConfig
from aegis.teachers import at_address, load_teacher
from aegis.types import ActionList, Teacher
from aegis.workspace import Workspace

CLIENTS = "clients"
"""The name of the teacher of a new point whose clients decide"""


class UnknownPointError(StoreError):
    """The workspace has no such decision point, and the configuration names none."""


class UnknownDecisionError(StoreError):
    """The decision point has no such decision."""


class UnknownActionError(DataError):
    """The decision point has no such action."""


@dataclass(frozen=True, slots=True)
class NewPoint:
    """What a point is made of that the workspace and the configuration don't have yet."""

    actions: Sequence[str] | Mapping[str, str]
    teacher: str
    """The name of who decides"""
    source: str


class PointBook:
    """The points of one workspace, by name. Any thread may call it.

    hear: takes a point's name and what happens there. gateway: whose upstreams are the teachers of its points.
    Raises `UnknownPointError`, and what making a `Decider` raises, where a point can't be opened.
    """

    def __init__(
        self,
        workspace: Path,
        configured: Mapping[str, PointConfig],
        hear: Callable[[str, RunEvent], None] = lambda name, event: None,
        gateway: GatewayConfig | None = None,
    ) -> None:
        self._workspace = Workspace(workspace)
        self._configured = configured
        self._hear = hear
        self._gateway = gateway
        self._open: dict[str, Decider] = {}
        self._claims: dict[str, tuple[str, frozenset[str]]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def names(self) -> list[str]:
        """Return the names of the points that are recorded, sorted."""
        return self._workspace.points()

    @property
    def gateway_decides(self) -> bool:
        """Whether the HRM of any point may answer a request that comes to the gateway."""
        modes = [self._gateway.mode if self._gateway else "observe", *(one.mode for one in self._configured.values())]
        return any(mode not in ("", "observe") for mode in modes)

    def mode_at_gateway(self, name: str) -> str:
        """Return the mode in which a point's HRM answers requests that come to the gateway."""
        config = self._configured.get(name)
        return (config and config.mode) or (self._gateway.mode if self._gateway else "observe")

    def open_configured(self) -> None:
        """Open every point of the configuration, so that a mistake in it shows at once.

        A point of the gateway's begins with its first request, which tells its model.
        """
        for name in self._configured:
            if not self._begins_at_gateway(name):
                self.find(name)

    def warm(self, tell: Callable[[str], None]) -> None:
        """Open every point whose HRM may decide, and let the HRM decide once, unrecorded: else the first request waits.

        tell: hears, before each HRM is loaded, which one; and what is the matter where a point can't be opened.
        """
        for name in self.names():
            try:
                self._warm(name, tell)
            except Exception as error:  # the other points are served; this one's requests say the same
                tell(f"{name}: not ready: {str(error) or type(error).__name__}")

    def _warm(self, name: str, tell: Callable[[str], None]) -> None:
        workspace, config = self._workspace.point(name), self._configured.get(name)
        with open_store(workspace) as store:
            serving, newest = find_serving(store, workspace), store.recent(1)
        _, teacher = self._recorded(workspace)
        if serving is None or not newest or teacher is None:
            return
        if ((config and config.mode) or self._mode_of(teacher)) == "observe":
            return
        tell(f"Warming up {name}: {serving.name} ...")
        self.find(name).ask(newest[0].decision.state)

    def opened(self, name: str) -> Decider | None:
        """Return a point's decider where it is open, in an instant."""
        return self._open.get(name)

    def read_claims(self) -> None:
        """Read whose each recorded point is, for `why_not_recorded`."""
        for name in self.names():
            with suppress(AegisError):  # whoever asks for this point hears what is the matter
                actions, teacher = self._recorded(self._workspace.point(name))
                if actions is not None and teacher is not None:
                    self._claims[name] = teacher.name, frozenset(actions.names)

    def why_not_recorded(self, name: str, model: str, offered: Iterable[str]) -> str:
        """Return why what a model decides among these actions is not recorded at a point; '' where it is.

        It looks at nothing but memory. Of a point that another process began since `read_claims`, it knows nothing.
        """
        decider = self._open.get(name)
        known = (decider.teacher.name, decider.actions.names) if decider is not None else self._claims.get(name)
        if known is None:
            return ""
        if known[0] != model:
            return f"point {name} belongs to {known[0]}: what {model} decides is left out"
        if not set(offered) <= set(known[1]):
            return f"point {name}: other actions are on offer than those that it records"
        return ""

    def most_alike(self, new: NewPoint, begins: tuple[str, ...]) -> tuple[str, int] | None:
        """Return which other point of this model has most of a new point's actions, and how many of these.

        begins: how the names of the points to look at may begin. None where no point has more than half of the actions.
        Like `why_not_recorded` it looks at nothing but memory.
        """
        known = dict(self._claims)
        known |= {name: (one.teacher.name, frozenset(one.actions.names)) for name, one in [*self._open.items()]}
        common = {
            name: len(actions & set(new.actions))
            for name, (model, actions) in known.items()
            if model == new.teacher and name.startswith(begins)
        }
        name = max(common, key=lambda one: (common[one], one), default="")
        return (name, common[name]) if name and 2 * common[name] > len(new.actions) else None

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

    def report_by_id(self, id: str, name: str | None = None, **report: Any) -> list[tuple[str, str]]:
        """Record what came of a decision, or of every decision of a response; return these with their points.

        name: of the point to look at; by default all. Raises `UnknownDecisionError` for an id that is not known.
        """
        found = []
        for point in self.names() if name is None else [name]:
            with open_store(self._existing(point)) as store:
                found += [(point, decision) for decision in find_decisions(store, id)]
        if not found:
            raise UnknownDecisionError(
                f"no decision or response {id!r}: check its id; it may not be recorded yet, and an answer that was no"
                " choice (several tools at once, a stream that broke off) never is"
            )
        for point, decision in found:
            self.report(point, decision, **report)
        return found

    def bills(self) -> dict[str, Bill]:
        """Return what the calls of each point took, by name."""
        prices, bills = read_prices(self._workspace.folder), {}
        for name in self.names():
            with open_store(self._workspace.point(name)) as store:
                bills[name] = read_bill(store, prices)
        return bills

    def decide(self, name: str, state: Any, *, offered: Sequence[str] | None, episode: str | None) -> Decided:
        """Decide, as `Decider.decide`; raises `UnknownActionError` for an offer that names no action of the point."""
        return self._find_for(name, offered or ()).decide(state, offered=offered, episode=episode)

    def decide_soon(
        self, name: str, state: Any, *, offered: Sequence[str] | None, episode: str | None
    ) -> Future[Decided | None]:
        """Decide, as `Decider.decide_soon`; None, too, at a point that is not open yet. Raises as `decide` does."""
        if name not in self._open:
            unknown: Future[Decided | None] = Future()
            unknown.set_result(None)
            return unknown
        return self._find_for(name, offered or ()).decide_soon(state, offered=offered, episode=episode)

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
        if config is not None and new is None and self._begins_at_gateway(name):
            raise UnknownPointError(f"point {name!r} begins with its first request at the gateway")
        workspace = self._workspace.point(name) if config or new else self._existing(name)
        actions, teacher = self._recorded(workspace)
        if config is not None and config.teacher:
            named = at_address(config.teacher, config.base_url) if config.base_url else config.teacher
            teacher = load_teacher(named)
        given = actions or (config and config.actions) or (new and new.actions)
        if not given:
            raise ConfigError(f"points.{name}: is new and has no actions: give actions = [...] in the file of --config")
        if teacher is None:
            teacher = AbsentTeacher(new.teacher, new.source) if new else AbsentTeacher(CLIENTS, "requests")
        return Decider(
            name,
            (config and config.actions) or given,
            teacher,
            workspace=self._workspace.folder,
            config=(config or PointConfig()).to_decider(self._mode_of(teacher)),
            notify=lambda event: self._hear(name, event),
        )

    def _begins_at_gateway(self, name: str) -> bool:
        """Tell whether a configured point is new and its first request, at the gateway, is to say whose it is."""
        config = self._configured[name]
        passes = self._gateway is not None and not config.teacher and (bool(config.prompt) or not config.actions)
        return passes and not self._workspace.point(name).database.exists()

    def _mode_of(self, teacher: Teacher) -> str:
        """Return the mode of a point that has none of its own."""
        gateway = self._gateway
        passes = gateway is not None and teacher.source in {one.address for one in gateway.upstreams}
        return gateway.mode if gateway is not None and passes else DeciderConfig().mode

    def _recorded(self, workspace: Workspace) -> tuple[ActionList | None, Teacher | None]:
        """Return the actions and the teacher that a point records, where it does."""
        if not workspace.database.exists():
            return None, None
        with open_store(workspace) as store:
            claim = store.teacher()
            if claim is None:
                return None, None
            return read_actions(store), AbsentTeacher(claim.name, claim.source)
