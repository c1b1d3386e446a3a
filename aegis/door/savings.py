"""What an HRM could take over from its teacher: the share, the agreement there with its bound, the calls, their cost.

Held-out decisions certify a promised agreement from a calibrated confidence on (`promotion.certifying`). Share and
agreement above it are counted on the HRM's silent answers beside its teacher, which had no part in the choice. While
those are few, the share is of the held-out decisions, and the certificate is the bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aegis.errors import CheckpointError
from aegis.hrm import base_of
from aegis.lifecycle import open_store
from aegis.promotion import PROMISED, ModelRegistry, certify_answers, read_answers
from aegis.promotion.registry import MODEL_PREFIX
from aegis.rendering import counted
from aegis.store import Comparison, DecisionStore, LabelBook, StateKey, read_tallies
from aegis.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aegis.promotion import HeldoutAnswers
    from aegis.promotion.judging.coverage import Level

LEAST_LIVE = 100
"""The fewest silent answers on which share and agreement are counted"""
MOST_READ = 10_000
"""Newest silent answers that are read; figures of more are scaled up from these"""


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
    """Its lower bound at 95% confidence, one-sided: by the live answers, else the certified one"""
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

    def __str__(self) -> str:
        if self.hrm is None:
            return f"no HRM has passed the gate yet: {counted(self.recorded, 'decision')} recorded"
        if self.share is None or self.agreement is None or self.lower is None:
            return self._say_nothing_yet()
        bound = f"lower bound {math.floor(100 * self.lower)}%" if self.live else f"at least {self.target:.0%} certified"
        line = (
            f"{self.share:.0%} of these decisions could be the HRM's at {self.agreement:.0%} agreement"
            f" ({bound}): {counted(self.calls, 'call')}"
        )
        line += "" if self.dollars is None else f", ${self.dollars:,.2f}"
        line += " so far"
        if self.made:
            line += f"; it made {self.made:,} of them"
        return line if self.live else f"{line}; by {counted(self.decisions, 'held-out decision')}"

    def _say_nothing_yet(self) -> str:
        """Return why there is an HRM, and no share that could be its."""
        if not self.decisions:
            return f"{self.hrm} has too few held-out decisions to tell what it could take over"
        if self.confidence is None:
            return (
                f"{self.hrm} can take over nothing at {self.target:.0%} agreement yet: its held-out decisions are too"
                " few to certify that, or it agrees with the teacher less often, even where it is surest"
            )
        return (
            f"{self.hrm} can take over next to nothing at {self.target:.0%} agreement yet: it is sure enough in too few"
            f" of {counted(self.decisions, 'decision')} to tell how often it agrees there"
        )


def read_savings(
    store: DecisionStore, workspace: Workspace, cost_per_call: float | None = None, target: float = PROMISED
) -> Savings:
    """Return what could be the HRM's at a decision point.

    cost_per_call: in dollars, for decisions whose cost is not recorded. target: the agreement to certify.
    """
    registry, tallies = ModelRegistry(store, workspace), read_tallies(store.database)
    claim = store.teacher()
    recorded = sum(tally.decisions for tally in tallies if claim is not None and tally.policy == claim.name)
    made = sum(tally.decisions for tally in tallies if tally.policy.startswith(MODEL_PREFIX))
    version = registry.serving() or registry.candidate()
    nothing = Savings(None, target, None, None, None, None, 0, False, made, made, None, recorded)
    if version is None:
        return nothing
    base = base_of(version.folder)  # an improved version has its base's held-out answers
    try:
        answers = read_answers(version.folder if base is None else version.folder.parent / base)
    except CheckpointError:  # an earlier version of AEGIS kept none
        return nothing
    labels = LabelBook(store.database)
    beside = labels.comparisons(version.name, MOST_READ)
    level, threshold, decisions, sure = _weigh(answers, beside, target)
    scale = labels.count(version.name) / max(1, len(beside))
    each = store.mean_cost(claim.name) if claim is not None else None
    return Savings(
        hrm=version.name,
        target=target,
        share=level.share if level is not None and level.agreement is not None else None,
        confidence=threshold,
        agreement=level.agreement if level is not None else None,
        lower=level.lower if level is not None else None,
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
    )


def describe_savings(workspace: Workspace) -> str:
    """Return the savings of a decision point in one line; '' for a workspace that is the research agent's.

    Raises `StoreError` where it can't be read.
    """
    with open_store(workspace) as store:
        return str(read_savings(store, workspace)) if store.state.record(StateKey.ACTIONS) else ""


class _Weighed(NamedTuple):
    level: Level | None
    """What the HRM reaches above the threshold; None where nothing tells"""
    threshold: float | None
    decisions: int
    """That this was counted on"""
    sure: list[Comparison]
    """The silent answers above the threshold"""


def _weigh(answers: HeldoutAnswers, beside: Sequence[Comparison], target: float) -> _Weighed:
    """Certify a threshold by held-out answers, and count above it on live ones where there are enough."""
    from aegis.promotion.judging.calibration import with_temperature
    from aegis.promotion.judging.coverage import Level, weigh_level

    if not answers.labels:
        return _Weighed(None, None, 0, [])
    found = certify_answers(answers, target)
    rows = with_temperature(_padded([one.probabilities for one in beside]), answers.temperature)
    threshold, confidences = found.threshold, rows.max(axis=1).tolist()
    sure = [one for one, at in zip(beside, confidences, strict=True) if threshold is not None and at >= threshold]
    if len(beside) >= LEAST_LIVE:
        taken, where = np.array([one.taken for one in beside]), _numbered([one.episode for one in beside])
        return _Weighed(weigh_level(target, threshold, rows, taken, where), threshold, len(beside), sure)
    if threshold is None:
        return _Weighed(None, None, found.heldout, sure)
    agreement = found.agreed / found.decided
    level = Level(target, found.share, (0.0, 1.0), found.decided, agreement, target, 0)
    return _Weighed(level, threshold, found.heldout, sure)


def _price(costs: Sequence[float | None], scale: float, made: int, each: float | None) -> float | None:
    """Return what calls cost; made: further ones, at the mean price of each; None where no price is known."""
    known = [cost for cost in costs if cost is not None]
    if not known and (not made or each is None):
        return each if each is None else 0.0
    return scale * sum(known) + made * (each or 0.0)


def _padded(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return rows as one array; decisions may offer different numbers of actions."""
    width = max(map(len, rows), default=1)
    return np.array([[*row, *(0.0,) * (width - len(row))] for row in rows]).reshape(-1, width)


def _numbered(names: Sequence[str]) -> list[int]:
    """Return a number for each name, the same for the same name."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(name, len(numbers)) for name in names]
