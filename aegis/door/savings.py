"""What an HRM could take over from its teacher: the share, the agreement there with its bound, the calls, their cost.

Held-out decisions and the HRM's silent answers beside its teacher certify a promised agreement from a calibrated
confidence on (`promotion.certifying`), as in the mode assist. The share above it is counted on the silent answers, or,
while those are few, on the held-out decisions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aegis.errors import CheckpointError, ConfigError
from aegis.hrm import base_of
from aegis.lifecycle import open_store
from aegis.lifecycle.opening import find_promise, read_agent
from aegis.lifecycle.serving.certificate import MOST_READ, certify_with, pad
from aegis.promotion import PROMISED, ModelRegistry, read_answers
from aegis.promotion.certifying.promise import HELPS
from aegis.promotion.judging.calibration import with_temperature
from aegis.rendering import counted
from aegis.store import Comparison, DecisionStore, LabelBook, StateKey, read_tallies
from aegis.workspace import MODEL_PREFIXES, Workspace

if TYPE_CHECKING:
    from aegis.promotion import Certificate, HeldoutAnswers

LEAST_LIVE = 100
"""The fewest silent answers on which share and agreement are counted"""


@dataclass(frozen=True, slots=True)
class Savings:
    """What could be the HRM's at a promised agreement; `str` tells it in one line."""

    hrm: str | None
    """The version, e.g. `hrm@1`; None before one passed the gate"""
    target: float
    """The agreement that was to be certified"""
    share: float | None
    """Of the decisions, those in which the HRM is sure enough; None where they are too few to tell"""
    confidence: float | None
    """The calibrated confidence from which on it is"""
    agreement: float | None
    """With the teacher, on those"""
    lower: float | None
    """The agreement that is certified for these decisions at 95% confidence"""
    decisions: int
    """Decisions on which this was counted"""
    live: bool
    """Whether these were answered silently beside the teacher; else they are held-out ones"""
    calls: int
    """Calls since the HRM is there in which it was sure enough, those that it made itself included"""
    made: int
    """Calls that an HRM made itself"""
    dollars: float | None
    """What those calls cost, or would have cost; None where no price is known"""
    recorded: int
    """The teacher's decisions so far"""
    beside: int = 0
    """Of its answers beside the teacher, audits among them, those in which it was sure enough"""
    agreed: int = 0
    """Of these, those in which it agreed"""
    former: str = ""
    """The version that was taken back last, where none serves; else ''"""
    base: str | None = None
    """The version that rewards improved it from; then no share is told: the held-out answers are the base's"""

    def __str__(self) -> str:
        if self.hrm is None and self.former:
            return (
                f"no HRM serves since {self.former} was taken back: {counted(self.recorded, 'decision')} recorded, and"
                f" {counted(self.made, 'call')} made by HRMs before"
            )
        if self.hrm is None:
            return f"no HRM has passed the gate yet: {counted(self.recorded, 'decision')} recorded"
        if self.base is not None:
            return (
                f"{self.hrm} was improved from {self.base} by rewards, and no held-out decision certifies its"
                f" agreement: it made {counted(self.made, 'call')}"
            )
        if self.share is None or self.agreement is None or self.lower is None:
            return self._say_nothing_yet()
        line = (
            f"{_percent(self.share)} of these decisions could be the HRM's at {_percent(self.agreement)} agreement"
            f" (certified: at least {100 * self.lower:g}%): {counted(self.calls, 'call')}"
        )
        line += "" if self.dollars is None else f", ${self.dollars:,.2f}"
        line += " so far"
        if self.made:
            line += f"; it made {self.made:,} of them"
        if self.live:
            return line
        audited = f", and beside its teacher it agreed {self.agreed:,} of {self.beside:,} times" if self.beside else ""
        return f"{line}; by {counted(self.decisions, 'held-out decision')}{audited}"

    def tell_whole(self, version: str) -> str:
        """Tell it in one line where a version decides everything already."""
        line = f"{version} decides everything: HRMs made {counted(self.made, 'call')}"
        line += "" if self.dollars is None else f", ${self.dollars:,.2f} so far"
        if self.share is None or self.lower is None:
            return line
        return f"{line}; with the mode assist, {_percent(self.share)} at a certified agreement of {100 * self.lower:g}%"

    def _say_nothing_yet(self) -> str:
        """Return why there is an HRM, and no share that could be its."""
        if not self.decisions:
            return f"{self.hrm} has too few held-out decisions to tell what it could take over"
        nothing = f"at {100 * self.target:g}% agreement yet"
        if self.confidence is None:
            return (
                f"{self.hrm} can take over nothing {nothing}: its held-out decisions are too few to certify that, or it"
                f" agrees with the teacher less often, even where it is surest ({HELPS} can help)"
            )
        return (
            f"{self.hrm} can take over next to nothing {nothing}: it is sure enough in none of"
            f" {counted(self.decisions, 'decision')}"
        )


def _percent(share: float) -> str:
    """Return a share in percent: 100% only where nothing is missing."""
    return f"{min(share, 0.999):.1%}" if 0.995 <= share < 1 else f"{share:.0%}"


def _check_cost(given: float | None) -> None:
    known = given is None or (isinstance(given, Real) and not isinstance(given, bool))
    if not known or not 0 <= (given or 0.0) < math.inf:
        raise ConfigError(f"cost_per_call must be a number of dollars from 0, not {given!r:.80}")


def read_savings(
    store: DecisionStore, workspace: Workspace, cost_per_call: float | None = None, target: float | None = None
) -> Savings:
    """Return what could be the HRM's at a decision point.

    cost_per_call: in dollars, for decisions whose cost is not recorded. target: the agreement to certify; None: the
    promised one, or the one for which the owner wants reports. Raises `ConfigError` for a cost that is none.
    """
    _check_cost(cost_per_call)
    target = target or _find_target(store, workspace)
    registry, tallies = ModelRegistry(store, workspace), read_tallies(store.database)
    claim = store.teacher()
    recorded = sum(tally.decisions for tally in tallies if claim is not None and tally.policy == claim.name)
    made = sum(tally.decisions for tally in tallies if tally.policy.startswith(MODEL_PREFIXES))
    version = registry.serving() or registry.candidate()
    nothing = Savings(None, target, None, None, None, None, 0, False, made, made, None, recorded)
    if version is None:
        return replace(nothing, former=_find_former(registry))
    each = store.mean_cost(claim.name) if claim is not None else None
    if base := base_of(version.folder):  # the held-out answers are its base's, of other weights
        dollars = _price([], 1.0, made, cost_per_call if each is None else each)
        return replace(nothing, hrm=version.name, base=base, dollars=dollars)
    try:
        answers = read_answers(version.folder)
    except CheckpointError:  # an earlier version of AEGIS kept none
        return nothing
    beside = (labels := LabelBook(store.database)).comparisons(version.name, MOST_READ)
    certificate, share, agreement, decisions, sure = _weigh(answers, beside, target)
    scale = labels.count(version.name) / max(1, len(beside))
    return Savings(
        hrm=version.name,
        target=target,
        share=share,
        confidence=certificate.threshold if certificate is not None else None,
        agreement=agreement,
        lower=target if share is not None else None,
        decisions=decisions,
        live=len(beside) >= LEAST_LIVE,
        calls=round(scale * len(sure)) + made,
        made=made,
        dollars=_price(
            [cost_per_call if one.dollars is None else one.dollars for one in sure],
            scale,
            made,
            cost_per_call if each is None else each,
        ),
        recorded=recorded,
        beside=len(sure),
        agreed=sum(int(np.argmax(one.probabilities)) == one.taken for one in sure),
    )


def _find_former(registry: ModelRegistry) -> str:
    """Return the version that was taken back last; '' where none was."""
    return next((event.previous or "" for event in reversed(registry.events()) if event.kind == "rolled_back"), "")


def describe_savings(workspace: Workspace) -> str:
    """Return the savings of a decision point in one line; '' for a workspace that is the research agent's.

    Raises `StoreError` where it can't be read.
    """
    with open_store(workspace) as store:
        if not store.state.record(StateKey.ACTIONS):
            return ""
        registry = ModelRegistry(store, workspace)
        serving, agent = registry.serving(), read_agent(store)
        found = read_savings(store, workspace)
        whole = agent.get("mode", "switch") == "switch" and find_promise(store, workspace, agent) is None
        return found.tell_whole(serving.name) if serving is not None and whole else str(found)


def _find_target(store: DecisionStore, workspace: Workspace) -> float:
    agent = read_agent(store)
    return find_promise(store, workspace, agent) or float(agent.get("agreement", PROMISED))


class _Weighed(NamedTuple):
    certificate: Certificate | None
    """None where nothing tells"""
    share: float | None
    """Of the decisions, those above the threshold; None where there is none"""
    agreement: float | None
    decisions: int
    """That these were counted on"""
    sure: list[Comparison]
    """The silent answers above the threshold"""


def _weigh(answers: HeldoutAnswers, beside: Sequence[Comparison], target: float) -> _Weighed:
    """Certify a threshold, and count above it on live answers where there are enough, else on held-out ones."""
    if not answers.labels:
        return _Weighed(None, None, None, 0, [])
    found, live = certify_with(answers, beside, target), len(beside) >= LEAST_LIVE
    probabilities, labels = answers.arrays()
    if live:
        probabilities, labels = pad([one.probabilities for one in beside]), np.array([one.taken for one in beside])
    if found.threshold is None:
        return _Weighed(found, None, None, len(labels), [])
    silent = with_temperature(pad([one.probabilities for one in beside]), answers.temperature).max(axis=1)
    sure = [one for one, at in zip(beside, silent.tolist(), strict=True) if at >= found.threshold]
    taken = with_temperature(probabilities, answers.temperature).max(axis=1) >= found.threshold
    if not taken.any():
        return _Weighed(found, None, None, len(labels), sure)
    agreement = float((probabilities.argmax(axis=1) == labels)[taken].mean())
    return _Weighed(found, float(taken.mean()), agreement, len(labels), sure)


def _price(costs: Sequence[float | None], scale: float, made: int, each: float | None) -> float | None:
    """Return what calls cost; made: further ones, at the mean price of each; None where no price is known."""
    known = [cost for cost in costs if cost is not None]
    if not known and (not made or each is None):
        return each if each is None else 0.0
    return scale * sum(known) + made * (each or 0.0)
