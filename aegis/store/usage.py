"""The tokens that a workspace's teacher has used behind its endpoint, whichever process used them."""

from __future__ import annotations

import json
from pathlib import Path

from aegis.store.database import Database

_KEY = "endpoint_usage"


class UsageLedger:
    """Counts tokens in the database at a path; call it, in any thread, to add some and to learn the totals."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, tokens_read: int, tokens_written: int) -> tuple[int, int]:
        """Add tokens read and written, on the disk when this returns; return the totals."""
        with Database(self._path) as database, database.transaction() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
            kept = json.loads(row["value"]) if row else {}
            totals = {
                "tokens_read": int(kept.get("tokens_read", 0)) + tokens_read,
                "tokens_written": int(kept.get("tokens_written", 0)) + tokens_written,
            }
            connection.execute(
                "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (_KEY, json.dumps(totals)),
            )
        return totals["tokens_read"], totals["tokens_written"]
