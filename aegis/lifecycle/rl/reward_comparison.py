"""Whether improved versions earn less than the version that phase 4 began with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from statistics import fmean
from typing import Any

from aegis.config import LARGEST_REWARD, ReinforceConfig
from aegis.lifecycle.rl.reward_evidence import RewardEvidence, weigh
from aegis.promotion.judging.interval import difference_interval, is_bounded
from aegis.store import DecisionStore, Drawn, ImprovementLog, StateKey

_EARLIER_REFERENCE = "anchor"
"""Earlier versions wrote `reference` under this name"""
REMEMBERED = 3
"""Former references that late rewards may lead back to: all decisions of each are weighed again with new rewards"""
_REFERENCE_SPAN = 1200
"""Newest decisions in which the reference's rewards count"""


@dataclass(frozen=True, slots=True)
class FormerReference:
    """The reference before the present one, and the rewards by which it was given up."""

    name: str
    since: int
    """Place, in the order of recording, after which decisions were compared with it"""
    until: int
    """Place of the last one"""
    former: FormerReference | None = None
    """The one before it, if any"""

    def chain(self) -> Iterator[FormerReference]:
        """Yield this reference and those before it, the newest first."""
        one: FormerReference | None = self
        while one is not None:
            yield one
            one = one.former


@dataclass(frozen=True, slots=True)
class ImprovementState:
    """Where phase 4 beside the agent stands; kept in the workspace."""

    reference: str
    """The last good version, at first the one that phase 4 began with: improved versions must not earn less, and a
    roll-back returns to it. Where they surely earn more, the one that serves takes its place."""
    since: int
    """Place, in the order of recording, after which decisions were drawn from what is learned"""
    judged_since: int
    """The same, for the rewards of improved versions"""
    paused_until: int = 0
    """Place from which phase 4 continues after a roll-back"""
    evidence: float = 1.0
    """That improved versions earn less, when it was last weighed (`reward_evidence`)"""
    close: bool = False
    """Whether it looks as if they did: the control then makes a larger share"""
    gained: float = 1.0
    """The evidence that improved versions earn more"""
    former: FormerReference | None = None
    """None while the reference is the version that phase 4 began with, and after a roll-back"""

    @property
    def learned_since(self) -> int:
        """Return the place after which decisions are learned from: those of a version rolled back from are not."""
        return max(self.since, self.judged_since)


@dataclass(frozen=True, slots=True)
class RewardComparison:
    """Rewards per decision of the improved versions and of the reference."""

    improved: float | None
    reference: float | None
    """Means; None where there are none yet"""
    improved_decisions: int
    reference_decisions: int
    difference: tuple[float, float]
    """95% interval of the improved versions' mean less the reference's (Welch 1947), for one look at independent
    decisions: it is shown, and decides nothing"""
    evidence: float
    """That improved versions earn less, anytime-valid; see `ImprovementState`"""
    evidence_needed: float
    """The evidence from which they are rolled back"""

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object; an interval without bounds is null."""
        return asdict(self) | {"difference": list(self.difference) if is_bounded(self.difference) else None}


def read_state(store: DecisionStore) -> ImprovementState | None:
    """Return the state of phase 4, or None before phase 4 began."""
    try:
        fields = store.state.record(StateKey.REINFORCEMENT)
        if fields and _EARLIER_REFERENCE in fields:
            fields = {**fields, "reference": fields[_EARLIER_REFERENCE]}
            del fields[_EARLIER_REFERENCE]
        if fields and fields.get("former"):
            fields = {**fields, "former": _read_former(fields["former"])}
        return ImprovementState(**fields) if fields else None
    except (ValueError, TypeError):
        return None  # it can't be read: phase 4 begins anew


def _read_former(fields: Mapping[str, Any]) -> FormerReference:
    before = fields.get("former")
    return FormerReference(**{**fields, "former": _read_former(before) if before else None})


def is_learning(store: DecisionStore) -> bool:
    """Return whether phase 4 runs beside the agent: the HRM's actions are then drawn, for exploration."""
    return read_state(store) is not None


def write_state(store: DecisionStore, state: ImprovementState | None) -> None:
    """Keep the state of phase 4; None: phase 4 is off."""
    if state is None:
        store.state.clear(StateKey.REINFORCEMENT)
    else:
        store.state.keep(StateKey.REINFORCEMENT, asdict(state))


def compare_rewards(
    store: DecisionStore, state: ImprovementState, config: ReinforceConfig | None = None
) -> RewardComparison:
    """Compare the rewards of the improved versions and of the reference, from their newest decisions."""
    config, log = config or ReinforceConfig(), ImprovementLog(store.database)
    improved = _bounded(log.rewards(state.reference, config.watched_decisions, state.judged_since, others=True))
    # The world changes: old rewards of the reference say little.
    since = max(state.since, store.newest() - _REFERENCE_SPAN)
    reference = _bounded(log.rewards(state.reference, config.baseline_decisions, since))
    return RewardComparison(
        fmean(improved) if improved else None,
        fmean(reference) if reference else None,
        len(improved),
        len(reference),
        difference_interval(improved, reference),
        state.evidence,
        1 / config.rollback_alpha,
    )


def _bounded(rewards: Sequence[float]) -> list[float]:
    return [min(max(reward, -LARGEST_REWARD), LARGEST_REWARD) for reward in rewards]


def weigh_rewards(store: DecisionStore, state: ImprovementState) -> tuple[RewardEvidence, RewardEvidence]:
    """Weigh all rewards of improved versions and of the control, as they are known now.

    Returns the evidence that improved versions earn less, and the evidence that they earn more.
    """
    drawn = ImprovementLog(store.database).drawn(state.reference, max(state.since, state.judged_since))
    return weigh(drawn), _weigh_gain(drawn)


def find_mistaken(store: DecisionStore, former: FormerReference) -> FormerReference | None:
    """Return the first reference that, by the rewards as they are known now, was given up for nothing; None for none.

    former: the last one; the `REMEMBERED` newest are looked at. Rewards are reported late, in parts, and corrected.
    """
    log = ImprovementLog(store.database)
    for one in reversed(list(islice(former.chain(), REMEMBERED))):
        if _weigh_gain(log.drawn(one.name, one.since, one.until)).evidence < 1:
            return one
    return None


def _weigh_gain(drawn: Sequence[Drawn]) -> RewardEvidence:
    return weigh([one._replace(reward=None if one.reward is None else -one.reward) for one in drawn])
