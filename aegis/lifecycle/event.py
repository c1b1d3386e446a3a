"""What happens while the agent runs by itself, as one kind of record for screens, logs and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aegis.research import Step
from aegis.types import utc_now

KINDS = (
    *("started", "decided", "training_started", "training_process", "epoch", "training_ended", "switched", "setting"),
    *("workspace", "monitor", "stage", "improving", "improved", "asked", "proposed", "rare_actions", "savings"),
    *("policy_failed", "policy_back", "waiting", "paused", "resumed", "left", "broke"),
)
"""`decided` comes once for each decision, after the decision and its outcome are on the disk."""


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


def describe_step(step: Step) -> str:
    """Return a decision and its outcome, in words."""
    argument = "".join(step.decision.action.argument.values())
    return f"{step.decision.action.name} {argument}: {step.outcome.detail}".replace(" :", ":")


def step_fields(step: Step, seconds: float) -> dict[str, Any]:
    """Return a decision and its outcome as a `decided` event's fields; seconds: how long the decision took."""
    decision, outcome = step.decision, step.outcome
    return {
        "id": decision.id,
        "episode": decision.episode,
        "step": decision.step,
        "policy": decision.policy,
        "action": decision.action.name,
        "argument": dict(decision.action.argument),
        "status": outcome.status,
        "gained": outcome.gained,
        "reward": outcome.reward,
        "detail": outcome.detail,
        "seconds": round(seconds, 6),
    }
