"""Where a workspace's agent and its decision points stand: what `aegis status` prints and the page shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aegis.door.savings import Savings, read_savings
from aegis.lifecycle import Standing, open_store, read_standing
from aegis.research.run import read_agent_standing
from aegis.store import DecisionStore, StateKey
from aegis.workspace import Workspace

_SAMPLED = 2_000
"""Calls whose time is read"""


@dataclass(frozen=True, slots=True)
class Overview:
    """Where everything in one workspace stands."""

    workspace: Workspace
    standing: Standing | None
    """The agent's, or that of the point that was named; None where the workspace has decision points alone"""
    points: tuple[Standing, ...]
    """Those of the workspace's decision points, by name"""

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object: what `aegis status --json` prints."""
        record = {"workspace": str(self.workspace.folder)}
        if self.standing is not None:
            record = describe_place(self.standing)
        listed = {"points": [{"name": one.point, **describe_place(one)} for one in self.points]}
        return record | listed if self.points else record


def read_overview(workspace: Workspace, point: str | None = None) -> Overview:
    """Read where a workspace stands; raises `StoreError` where there is none.

    point: its decision point that `workspace` is; None: the workspace is an agent's, with all its points.
    """
    if point is not None:
        return Overview(workspace, read_standing(workspace), ())
    points = tuple(read_standing(workspace.point(name)) for name in workspace.points())
    has_agent = workspace.database.exists() or not points
    return Overview(workspace, read_agent_standing(workspace) if has_agent else None, points)


def describe_place(standing: Standing) -> dict[str, Any]:
    """Return one agent or decision point as a JSON object, with what its HRM could take over."""
    place = Workspace(Path(standing.workspace))
    with open_store(place) as store:
        savings = read_savings(store, place)
        seconds = _seconds_spared(store, savings)
        paused = store.state.text(StateKey.PAUSED) or ""
    return standing.to_record() | {
        "savings": asdict(savings) | {"words": str(savings), "seconds": seconds},
        "paused": paused,
    }


def _seconds_spared(store: DecisionStore, savings: Savings) -> float | None:
    """Return the time that the calls took, or would have taken, which the HRM could spare; None where none is known.

    By the mean of a sample of the calls that were made: their ids are random.
    """
    sql = f"SELECT AVG(seconds) AS mean FROM (SELECT seconds FROM calls WHERE model IS NOT NULL LIMIT {_SAMPLED}) AS s"
    mean = store.database.query(sql)[0]["mean"]
    return None if mean is None or savings.hrm is None else float(mean) * savings.calls
