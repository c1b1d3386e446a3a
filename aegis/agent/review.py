"""What the last training and the searches say of their own settings: proposals to change them. It changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from aegis.agent.proposals import Proposal
from aegis.agent.search import ProviderReport
from aegis.agent.setting import SETTINGS, Setting
from aegis.config import GateConfig, HRMConfig, TrainingConfig
from aegis.rendering import clean_text
from aegis.store import Database, TrainingLog, TrainingRecord

_OVERFIT = 0.15
"""Training accuracy above the held-out one by which the HRM has learned by heart."""
_WEIGHT = 0.7
_LESSER_WEIGHT = 0.3
_LEAST_ASKED = 5
"""Times that a search provider is asked before its place in the order is put in question."""
_MOSTLY_VAIN = 0.5


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
    """Return the proposal to ask the provider last that brings nothing most often, where one mostly does.

    reports: in the order in which the providers are asked. None is moved back behind others that do no better.
    """
    order = [report.label for report in reports]
    known = [report for report in reports[:-1] if report.asked >= _LEAST_ASKED and report.vain_share > _MOSTLY_VAIN]
    if not known:
        return []
    worst = max(known, key=lambda report: report.vain_share)
    behind = reports[order.index(worst.label) + 1 :]
    if not any(one.asked < _LEAST_ASKED or one.vain_share < worst.vain_share for one in behind):
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
