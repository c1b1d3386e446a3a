"""A page of decisions that pass a filter, in short, with what a filter may name."""

from __future__ import annotations

from typing import Any

from aegis.dashboard.decisions.decision import read_short
from aegis.dashboard.decisions.filter import PAGE_ROWS, Filter, find_page, list_choices
from aegis.dashboard.stream import newest_cursor
from aegis.lifecycle.opening import open_store
from aegis.store import DecisionStore
from aegis.store.archive.book import count_archived
from aegis.workspace import Workspace


def list_page(workspace: Workspace, chosen: Filter, before: int | None = None, rows: int = PAGE_ROWS) -> dict[str, Any]:
    """Return the newest decisions before a place that pass a filter; at first with the choices and a cursor."""
    cursor = str(newest_cursor(workspace))  # before the list is read: what comes meanwhile is in both
    page = find_page(workspace, chosen, before, rows)
    with open_store(workspace) as store:
        return {
            "decisions": read_short(store, workspace, page.places),
            "before": page.before,
            "reading": page.reading,
            **(_first(store) | {"cursor": cursor} if before is None else {}),
        }


def _first(store: DecisionStore) -> dict[str, Any]:
    return list_choices(store) | {"archived": count_archived(store.database)}
