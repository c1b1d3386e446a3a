"""What happens while the agent runs by itself, as one kind of record for screens, logs and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aegis.types import utc_now

KINDS = (
    *("started", "decided", "training_started", "training_process", "epoch", "training_ended", "switched", "setting"),
    *("workspace", "monitor", "stage", "improving", "improved", "asked", "proposed", "rare_actions", "savings"),
    *("policy_failed", "policy_back", "waiting", "paused", "resumed", "left", "broke"),
)
"""`decided` comes once for each decision, after the decision and its outcome are on the disk."""

Tell = Callable[[str, str, dict[str, Any]], None]
"""Hears an event: its kind, the message for a person, the fields for a machine"""


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened, for a person (`message`) and for a machine (`fields`)."""

    kind: str
    """One of `KINDS`"""
    message: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=utc_now)

    def to_record(self) -> dict[str, Any]:
        """Return the event as one JSON object."""
        return {"at": self.at.isoformat(), "event": self.kind, "message": self.message, **self.fields}
