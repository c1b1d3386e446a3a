"""The gate: whether a candidate has proved itself on held-out decisions, with its reasons. It switches nothing."""

from __future__ import annotations

from dataclasses import dataclass

from aegis.config import GateConfig
from aegis.promotion.metrics import Agreement


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer."""

    passed: bool
    reasons: tuple[str, ...]
    """Every rule with what was measured, one sentence each"""
    advice: tuple[str, ...]
    """What would help, when it did not pass"""


def judge(agreement: Agreement, config: GateConfig) -> Verdict:
    """Judge a candidate: its accuracy must reach the threshold, and surely beat always taking the commonest action."""
    low, _ = agreement.interval
    level = f"{config.confidence:.0%}"
    reaches = agreement.accuracy >= config.threshold
    beats = low > agreement.majority
    measured = f"accuracy {agreement.accuracy:.2%} on {agreement.n} held-out decisions"
    reasons = [
        f"{measured} is at least the threshold of {config.threshold:.2%}"
        if reaches
        else f"{measured} is {100 * (config.threshold - agreement.accuracy):.2f} points below the threshold of"
        f" {config.threshold:.2%}",
        f"its {level} lower bound of {low:.2%} is {'above' if beats else 'not above'} the {agreement.majority:.2%} of"
        " always taking the commonest action",
    ]
    if reaches and beats:
        return Verdict(True, tuple(reasons), ())
    advice = [
        "collect more decisions (`aegis collect`), then train again",
        "train for more epochs (`--epochs`)",
        "check the data (`aegis check`, with the same --data or --workspace): duplicates, rare actions, bad records",
    ]
    return Verdict(False, tuple(reasons), tuple(advice))
