"""Proposals to change the settings of the training and of the search, from the figures of both."""

from __future__ import annotations

from collections.abc import Sequence

from aegis.config import GateConfig, HRMConfig, TrainingConfig
from aegis.rendering import clean_text
from aegis.research.proposals import Proposal
from aegis.research.search import ProviderReport
from aegis.research.setting import SETTINGS, Setting
from aegis.store import Database, TrainingLog, TrainingRecord

_OVERFIT = 0.15
"""The HRM has memorised its data if training accuracy exceeds held-out accuracy by this much."""
_WEIGHT = 0.7
_LESSER_WEIGHT = 0.3
_LEAST_ASKED = 5
"""Times that a search provider is asked before its place in the order is questioned."""
_MOSTLY_VAIN = 0.5


class TrainingReview:
    """Reads the newest training of a workspace, each training once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = TrainingLog(database)
        self._seen: int | None = None
        self._found: list[Proposal] = []

    def proposals(self) -> list[Proposal]:
        """Return what would help a refused training, the likeliest help first; nothing after any other training."""
        rows = self._database.query("SELECT MAX(id) AS id FROM trainings WHERE status <> 'running'")
        if rows[0]["id"] != self._seen:
            self._seen = rows[0]["id"]
            self._found = [] if self._seen is None else review(self._log.get(self._seen))
        return self._found


def review(record: TrainingRecord) -> list[Proposal]:
    """Return proposals from a training's figures."""
    if record.status != "refused" or not record.report.get("epochs"):
        return []
    last, plan = record.report["epochs"][-1], record.plan
    heldout, train = last["heldout_accuracy"], last["train_accuracy"]
    threshold = plan.gate.threshold
    found = []
    if train - heldout > _OVERFIT:
        why = f"training accuracy {train:.0%} against {heldout:.0%} held out"
        found.append(_change("learning_rate", plan.training, 0.5, why, _WEIGHT))
        found.append(_change("epochs", plan.training, 0.5, why, _LESSER_WEIGHT))
    else:
        why = f"held-out accuracy {heldout:.0%} after {last['epoch']} epochs"
        found.append(_change("epochs", plan.training, 1.5, why, _WEIGHT))
        found.append(_change("learning_rate", plan.training, 2.0, why, _LESSER_WEIGHT))
        found.append(_change("low_cycles", plan.model, 1.5, why, _LESSER_WEIGHT / 2))
        found.append(_change("high_cycles", plan.model, 2.0, why, _LESSER_WEIGHT / 2))
    if 0 < threshold - heldout < 0.05:
        why = f"held-out accuracy {heldout:.1%} fell short of {threshold:.0%}"
        found.append(_change("threshold", plan.gate, 0.95, why, _LESSER_WEIGHT))
    return [proposal for proposal in found if proposal.new != proposal.old]


def review_search(reports: Sequence[ProviderReport]) -> list[Proposal]:
    """Return the proposal to ask the least useful provider last, if it mostly finds nothing; or None.

    reports: in the order of the providers. A provider is not moved back behind others that do no better.
    """
    order = [report.label for report in reports]
    known = [report for report in reports[:-1] if report.asked >= _LEAST_ASKED and report.vain_share > _MOSTLY_VAIN]
    if not known:
        return []
    worst = max(known, key=lambda report: report.vain_share)
    behind = reports[order.index(worst.label) + 1 :]
    if not any(report.asked < _LEAST_ASKED or report.vain_share < worst.vain_share for report in behind):
        return []
    new = [label for label in order if label != worst.label] + [worst.label]
    reason = f"{worst.label} failed {worst.failed} times and found nothing {worst.empty} times of {worst.asked}"
    return [Proposal("search_order", ",".join(order), ",".join(new), clean_text(reason, 160), worst.vain_share)]


def _change(
    name: str, part: TrainingConfig | HRMConfig | GateConfig, factor: float, reason: str, weight: float
) -> Proposal:
    old, setting = getattr(part, name), SETTINGS[name]
    assert isinstance(setting, Setting)
    return Proposal(name, old, setting.clamp(old * factor), reason, weight)
