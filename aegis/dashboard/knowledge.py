"""What the research agent knows: its knowledge by search, where that came from, its goals, and what it still lacks."""

from __future__ import annotations

from typing import Any

from aegis.lifecycle.opening import open_store
from aegis.rendering import clean_text
from aegis.research.memory.knowledge import KnowledgeBase, KnownItem
from aegis.store import Database
from aegis.workspace import Workspace

_ITEMS, _SOURCES, _GOALS, _GAPS = 30, 12, 20, 30
_TEXT_CHARACTERS = 600


def read_knowledge(workspace: Workspace, query: str = "", source: str = "") -> dict[str, Any]:
    """Return the items that a query finds, best first, or the newest ones; and the sources, goals and gaps.

    source: of its items alone: a kind, or one place of it. Then the sources are the places of that kind.
    """
    with open_store(workspace) as store:
        base = KnowledgeBase(store.database)
        found = base.search(query, _ITEMS, source) if query.strip() else base.latest(_ITEMS, source)
        return {
            "count": base.count(),
            "items": [_item(one) for one in found],
            "sources": _places(store.database, source) if source else _sources(store.database),
            "goals": _goals(store.database),
            "gaps": _gaps(store.database),
            "open_gaps": _count(store.database, "gaps WHERE status = 'open'"),
            "open_questions": _count(store.database, "questions WHERE status = 'open'"),
        }


def _item(known: KnownItem) -> dict[str, Any]:
    return {
        "title": known.item.title,
        "text": clean_text(known.item.text, _TEXT_CHARACTERS),
        "topic": known.item.topic,
        "source": known.item.source,
        "found_at": known.found_at.isoformat(),
    }


def _sources(database: Database) -> list[dict[str, Any]]:
    """Return the sources of most items. A source is `kind:place`: those of one kind count together."""
    sql = (
        "SELECT CASE instr(source, ':') WHEN 0 THEN source ELSE substr(source, 1, instr(source, ':') - 1) END AS kind,"
        f" COUNT(*) AS items FROM knowledge GROUP BY kind ORDER BY items DESC, kind LIMIT {_SOURCES}"
    )
    return [dict(row) for row in database.query(sql)]


def _places(database: Database, source: str) -> list[dict[str, Any]]:
    """Return the places of most items within a source's kind."""
    kind = source.partition(":")[0]
    sql = (
        "SELECT source AS kind, COUNT(*) AS items FROM knowledge WHERE source = ? OR substr(source, 1, length(?)) = ?"
        f" GROUP BY source ORDER BY items DESC, source LIMIT {_SOURCES}"
    )
    return [dict(row) for row in database.query(sql, (kind, f"{kind}:", f"{kind}:"))]


def _goals(database: Database) -> list[dict[str, Any]]:
    """Return the newest goals with the numbers of their questions by status."""
    sql = (
        "SELECT g.title, g.kind, g.status, g.created_at, COUNT(*) FILTER (WHERE q.status = 'closed') AS closed,"
        " COUNT(*) FILTER (WHERE q.status = 'open') AS open,"
        " COUNT(*) FILTER (WHERE q.status = 'abandoned') AS abandoned"
        f" FROM (SELECT * FROM goals ORDER BY seq DESC LIMIT {_GOALS}) AS g LEFT JOIN questions AS q ON q.goal = g.id"
        " GROUP BY g.seq, g.title, g.kind, g.status, g.created_at ORDER BY g.seq DESC"
    )
    return [dict(row) for row in database.query(sql)]


def _gaps(database: Database) -> list[dict[str, Any]]:
    sql = f"SELECT term, topic, met_in FROM gaps WHERE status = 'open' ORDER BY seq DESC LIMIT {_GAPS}"
    return [dict(row) for row in database.query(sql)]


def _count(database: Database, what: str) -> int:
    return int(database.query(f"SELECT COUNT(*) AS n FROM {what}")[0]["n"])
