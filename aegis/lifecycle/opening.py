"""Open a workspace's store, and find what serves and what runs there. No model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aegis.errors import StoreError
from aegis.promotion import ModelRegistry, Serving
from aegis.promotion.certifying.promise import promised_part
from aegis.store import Database, DecisionStore, StateKey
from aegis.workspace import Workspace


@contextmanager
def open_store(workspace: Workspace) -> Iterator[DecisionStore]:
    """Open a workspace's store while the block runs."""
    with Database(workspace.database) as database:
        yield DecisionStore(database)


def existing(workspace: Workspace) -> Workspace:
    """Return the workspace if it has a database; raises `StoreError` where there is none, or an empty file."""
    if workspace.folder.is_file():
        raise StoreError(f"--workspace {workspace.folder}: not a folder: name a workspace's folder")
    if not workspace.database.exists():
        if points := workspace.points():
            raise StoreError(
                f"{workspace.folder}: no agent here, only decision points: name one with --point ({', '.join(points)})"
            )
        raise StoreError(
            f"{workspace.folder}: no workspace here: check the name, or make one: `aegis train --workspace"
            f" {workspace.folder}` (on the shipped decisions) or `aegis collect --workspace {workspace.folder}`"
        )
    if not workspace.database.stat().st_size:
        raise StoreError(f"{workspace.database}: is empty: put a copy back in its place, or delete it to begin anew")
    return workspace


def find_serving(store: DecisionStore, workspace: Workspace) -> Serving | None:
    """Return the trained policy that serves in a workspace, or None while its teacher does."""
    return ModelRegistry(store, workspace).serving()


def read_agent(store: DecisionStore) -> dict[str, Any]:
    """Return the last report of the agent that runs, or ran, by itself."""
    try:
        return store.state.record(StateKey.AGENT) or {}
    except ValueError:
        return {}


def find_promise(store: DecisionStore, workspace: Workspace, agent: Mapping[str, Any]) -> float | None:
    """Return the agreement that the version that serves must have where it decides; None where it decides everything.

    agent: what the point's `aegis.Decider` noted last (`read_agent`).
    """
    registry = ModelRegistry(store, workspace)
    if (served := registry.serving()) is None or agent.get("sure") is not None:
        return None
    if (promised := agent.get("promised")) is not None:
        return float(promised)
    return promised_part(registry.figures_of(registry.base_of(served.name) or served.name))
