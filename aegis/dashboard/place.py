"""The places that a dashboard shows: an agent's workspace and its decision points, or one point alone."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aegis.dashboard.overview import Overview, read_overview
from aegis.errors import ConfigError
from aegis.lifecycle.opening import existing
from aegis.serving.point import UnknownPointError
from aegis.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Places:
    """What is shown of a workspace. only: the one decision point that is shown; None: everything."""

    workspace: Workspace
    only: str | None = None

    def find(self, point: str) -> Workspace:
        """Return a place by its name, "" for the agent's own; raises `UnknownPointError` where it is not shown."""
        if self.only is not None:
            if point in ("", self.only):
                return self.workspace.point(self.only)
        elif not point:
            return existing(self.workspace)
        else:
            with suppress(ConfigError):
                place = self.workspace.point(point)
                if place.database.exists():
                    return place
        raise UnknownPointError(f"no decision point {point[:100]!r} is shown here")

    def workspaces(self) -> list[Workspace]:
        """Return every place that is shown."""
        if self.only is not None:
            return [self.workspace.point(self.only)]
        own = [self.workspace] if self.workspace.database.exists() else []
        return own + [self.workspace.point(name) for name in self.workspace.points()]

    def overview(self) -> Overview:
        """Return where every place stands."""
        if self.only is not None:
            return read_overview(self.workspace.point(self.only), self.only)
        return read_overview(self.workspace)

    def to_record(self) -> dict[str, Any]:
        """Return where every place stands, as one list of JSON objects."""
        record = self.overview().to_record()
        points = record.pop("points", [])
        named = {"name": "", "title": self.only or "agent", "can_pause": self.only is None}
        own = [{**named, **record}] if "phase" in record else []
        return {"places": own + [one | {"title": one["name"], "can_pause": False} for one in points]}
