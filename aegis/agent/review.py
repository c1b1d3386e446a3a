"""What the last training says of its own settings: proposals to change them. It trains and changes nothing."""

from __future__ import annotations

from typing import Any

from aegis.agent.proposals import Proposal
from aegis.agent.setting import SETTINGS
from aegis.store import Database, TrainingLog, TrainingRecord

_OVERFIT = 0.15
"""Training accuracy above the held-out one by which the HRM has learned by heart."""
_WEIGHT = 0.7
_LESSER_WEIGHT = 0.3


class TrainingReview:
    """Reads the newest training of a workspace, once for each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = TrainingLog(database)
        self._seen: int | None = None
        self._found: list[Proposal] = []

    def proposals(self) -> list[Proposal]:
        """Return what would help a training that was refused, the likeliest help first; nothing after any other."""
        rows = self._database.query("SELECT MAX(id) AS id FROM trainings WHERE status <> 'running'")
        if rows[0]["id"] != self._seen:
            self._seen = rows[0]["id"]
            self._found = [] if self._seen is None else review(self._log.get(self._seen))
        return self._found


def review(record: TrainingRecord) -> list[Proposal]:
    """Return proposals from one training's figures."""
    if record.status != "refused" or not record.report.get("epochs"):
        return []
    last, settings = record.report["epochs"][-1], record.settings
    heldout, train = last["heldout_accuracy"], last["train_accuracy"]
    threshold = settings["gate"]["threshold"]
    found = []
    if train - heldout > _OVERFIT:
        why = f"training accuracy {train:.0%} against {heldout:.0%} held out"
        found.append(_change("learning_rate", settings["training"], 0.5, why, _WEIGHT))
        found.append(_change("epochs", settings["training"], 0.5, why, _LESSER_WEIGHT))
    else:
        why = f"held-out accuracy {heldout:.0%} after {last['epoch']} epochs"
        found.append(_change("epochs", settings["training"], 1.5, why, _WEIGHT))
        found.append(_change("learning_rate", settings["training"], 2.0, why, _LESSER_WEIGHT))
        found.append(_change("low_cycles", settings["model"], 1.5, why, _LESSER_WEIGHT / 2))
        found.append(_change("high_cycles", settings["model"], 2.0, why, _LESSER_WEIGHT / 2))
    if 0 < threshold - heldout < 0.05:
        why = f"held-out accuracy {heldout:.1%} fell short of {threshold:.0%}"
        found.append(_change("threshold", settings["gate"], 0.95, why, _LESSER_WEIGHT))
    return [proposal for proposal in found if proposal.new != proposal.old]


def _change(name: str, settings: dict[str, Any], factor: float, reason: str, weight: float) -> Proposal:
    old = settings[name]
    return Proposal(name, old, SETTINGS[name].clamp(old * factor), reason, weight)
