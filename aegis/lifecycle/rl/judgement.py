"""Whether a version that phase 4 improved may serve: it must surely earn more, however often phase 4 is tried.

Each attempt on the same base is measured in fresh worlds, drawn after its learning settings are fixed. Attempt k may
promote a version that is no better with probability 0.05 / (k (k + 1)) at most. These sum to 0.05 over any number of
attempts (alpha spending by a union bound, as in Lan and DeMets 1983). So the first attempt needs a 95% interval above
0, the second one of 98.3%, the third one of 99.2%.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aegis.errors import ConfigError
from aegis.lifecycle.rl.measurement import Measured, recall_gain
from aegis.promotion import ModelRegistry, Serving
from aegis.promotion.gain import Gain
from aegis.promotion.judging.interval import mean_interval
from aegis.promotion.registry import IMPROVEMENT
from aegis.store import DecisionStore
from aegis.workspace import HRM, KIND_WORDS, version_kind

PROMOTION_ALPHA = 0.05
"""Largest probability of ever promoting a version that earns no more than the one that it would replace"""
ATTEMPT = "attempt"
"""The key, in the record of an improvement, under which its number stands if it could have been promoted"""


def confidence_of(attempt: int) -> float:
    """Return the confidence of the two-sided interval that must lie above 0 at the attempt of this number, from 1."""
    return 1 - 2 * PROMOTION_ALPHA / (attempt * (attempt + 1))


def next_attempt(store: DecisionStore, base: str) -> int:
    """Return the number of the next attempt to improve versions of this base."""
    sql = "SELECT COUNT(*) FROM models WHERE base = ? AND json_extract(figures, '$.improvement.attempt') IS NOT NULL"
    return int(store.database.query(sql, (base,))[0][0]) + 1


def check_kind(name: str) -> None:
    """Raise `ConfigError` for a version that phase 4 can't improve."""
    if version_kind(name) != HRM:
        raise ConfigError(
            f"{name} is {KIND_WORDS[version_kind(name)]}, and phase 4 improves an HRM alone: let one serve first"
            " (`aegis models` lists them)"
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is held against a version; '' if it may serve."""

    gain: Gain
    """With its 95% interval, to show"""
    attempt: int
    low: float
    """Lower bound of the gain's interval at the confidence that this attempt needs"""
    recall: Gain | None = None
    """Change of the recall of what people are there to reward; None if it is not known"""

    @property
    def objection(self) -> str:
        """Why it does not serve; '' if it does."""
        if self.gain.is_loss:
            return "it surely earns less"
        if self.low <= 0 < self.gain.low:
            return (
                f"at attempt {self.attempt} the {confidence_of(self.attempt):.1%} interval must lie above 0, and it"
                f" begins at {self.low:+.3f}"
            )
        if self.low <= 0:
            return "the gain's interval does not lie above 0" if self.gain.mean > 0 else "it earns no more"
        if self.recall is not None and self.recall.is_loss:
            return f"it surely asks less where a person answers: {self.recall.words}"
        return ""


def judge(after: Measured, before: Measured, over: str, attempt: int) -> Judgement:
    """Judge a version by what it and the one before it earned in the same fresh worlds, paired by seed."""
    return judge_pairs(after.units, before.units, over, attempt, recall_gain(after, before, over))


def judge_pairs(
    after: Sequence[float], before: Sequence[float], over: str, attempt: int, recall: Gain | None = None
) -> Judgement:
    """Judge a version by paired rewards that are independent of each other, after and before."""
    low, _ = mean_interval([one - other for one, other in zip(after, before, strict=True)], confidence_of(attempt))
    return Judgement(Gain.of_pairs(after, before, over), attempt, low, recall)


def let_serve(
    store: DecisionStore, registry: ModelRegistry, name: str, judged: Judgement, where: str
) -> Serving | None:
    """Let an improved version serve if nothing is held against it, and return it; else return None.

    where: the gain's unit, what it is measured against, and where.
    """
    if judged.objection:
        return None
    with store.database.transaction():
        now = registry.serving()
        if now is None or now.name != judged.gain.over:
            return None  # somebody has promoted or rolled back meanwhile
        return registry.promote_again(name, IMPROVEMENT, f"it earns {judged.gain.words} {where}")
