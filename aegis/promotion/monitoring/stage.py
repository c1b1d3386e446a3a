"""The verdict on a candidate in a stage before the switch, by its live decisions.

The same monitor as after the switch follows the candidate's agreement. It can refuse the candidate at any time
for a fall below its promise. At the end of the stage the agreement must reach the gate's threshold, and its interval
must not lie wholly below the promise. In a canary, where a draw determines who decides, rewards are compared as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aegis.promotion.monitoring.monitor import AgreementMonitor, MonitorLevel
from aegis.promotion.monitoring.rewards import compare_rewards


@dataclass(frozen=True, slots=True)
class StageVerdict:
    """The verdict on a stage so far, with its figures."""

    over: bool
    passed: bool
    reason: str
    evidence: dict[str, Any]


def judge_stage(
    monitor: AgreementMonitor,
    wanted: int,
    threshold: float,
    rewards: tuple[Sequence[float], Sequence[float]] | None = None,
) -> StageVerdict:
    """Judge a stage, which is over after `wanted` compared decisions, or at once if the candidate has surely fallen.

    threshold: the least agreement. rewards: the candidate's and the teacher's in a canary.
    """
    evidence = monitor.evidence() | {"wanted": wanted, "threshold": threshold}
    fallen = monitor.level in (MonitorLevel.ROLL_BACK, MonitorLevel.TEACHER)
    if monitor.audits < wanted and not fallen:
        return StageVerdict(False, False, describe_stage(monitor, wanted), evidence)
    share = monitor.agreed / max(1, monitor.audits)
    low, high = monitor.interval()
    evidence |= {"interval": [low, high]}
    counted = f"{monitor.agreed} of {monitor.audits} decisions ({share:.1%}, 95% {low:.1%} to {high:.1%})"
    said = f"agreed with the teacher in {counted}"
    if fallen or high < monitor.promised:
        return StageVerdict(True, False, f"{said}: surely less than the {monitor.promised:.1%} promised", evidence)
    if share < threshold:
        return StageVerdict(True, False, f"{said}: below the threshold of {threshold:.0%}", evidence)
    compared = compare_rewards(*rewards) if rewards is not None else None
    if compared is None:
        return StageVerdict(True, True, said, evidence)
    evidence |= {"rewards": compared}
    own, other, (least, most) = compared["candidate"], compared["teacher"], compared["difference"]
    told = f"{said}; mean reward {own:+.2f} beside the teacher's {other:+.2f} (difference {least:+.2f} to {most:+.2f})"
    if most < 0:
        return StageVerdict(True, False, f"{told}: surely less", evidence)
    return StageVerdict(True, True, told, evidence)


def describe_stage(monitor: AgreementMonitor, wanted: int) -> str:
    """Return the progress of a stage in one line."""
    if not monitor.audits:
        return f"0 of {wanted} decisions compared, at least {monitor.promised:.1%} promised"
    low, high = monitor.interval()
    share = monitor.agreed / monitor.audits
    return (
        f"{monitor.audits} of {wanted} decisions compared, agrees in {share:.1%} (95% {low:.1%} to {high:.1%}),"
        f" at least {monitor.promised:.1%} promised"
    )
