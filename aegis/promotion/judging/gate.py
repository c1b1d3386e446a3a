"""The gate: decide by held-out decisions whether a candidate may take over, with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from aegis.config import GateConfig

if TYPE_CHECKING:
    # These rooms need NumPy; reading a verdict does not.
    from aegis.promotion.certifying.certificate import Certificate
    from aegis.promotion.judging.metrics import Agreement


@dataclass(frozen=True, slots=True)
class Rule:
    """The result of one rule of the gate."""

    code: str
    """`threshold`, `commonest_action`, `chance`, `every_action`, `calibration` or `cooling_down`; where the HRM is to
    take a part of the decisions, `certified` and `share` in place of the first four"""
    passed: bool
    text: str
    """The measurement, in one sentence"""
    measured: float | None = None
    bound: float | None = None
    """The bound that `measured` is compared with; None for a rule that demands nothing"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer."""

    rules: tuple[Rule, ...]
    advice: tuple[str, ...]
    """What to do after a refusal; empty after a pass"""
    remarks: tuple[str, ...] = ()
    """What a person should know, whatever the rules say"""

    @property
    def passed(self) -> bool:
        return all(rule.passed for rule in self.rules)

    @property
    def reasons(self) -> tuple[str, ...]:
        """One sentence for each rule, broken rules first."""
        return tuple(rule.text for rule in _broken_first(self.rules))

    @property
    def lines(self) -> tuple[str, ...]:
        """The reasons with a mark each: ✓ for a rule that is kept, ✗ for a broken rule, ⚠ for a remark."""
        return (*mark_rules(self.to_record()["rules"]), *(f"⚠ {remark}" for remark in self.remarks))

    def to_record(self) -> dict[str, Any]:
        """Return the verdict as a JSON object."""
        return {
            "passed": self.passed,
            "reasons": list(self.reasons),
            "rules": [asdict(rule) for rule in self.rules],
            "advice": list(self.advice),
            "remarks": list(self.remarks),
        }


def mark_rules(rules: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the lines (as `Verdict.lines`) of the rules in a verdict's record; malformed rules are left out."""
    known = [rule for rule in rules if {"passed", "text"} <= rule.keys()]
    return tuple(f"{'✓' if rule['passed'] else '✗'} {rule['text']}" for rule in sorted(known, key=_is_kept))


def _is_kept(rule: Mapping[str, Any]) -> bool:
    return bool(rule["passed"])


def _broken_first(rules: Sequence[Rule]) -> list[Rule]:
    return sorted(rules, key=lambda rule: rule.passed)


def judge(agreement: Agreement, config: GateConfig, cooling_decisions: int = 0) -> Verdict:
    """Judge a candidate by all rules of the gate; it passes if none is broken.

    cooling_decisions: after a rollback, how many more decisions than the candidate knows another HRM must know.
    """
    rules = [
        _reaches_threshold(agreement, config),
        _beats(agreement, config, "commonest_action", agreement.majority, "always taking the commonest action"),
        _beats(agreement, config, "chance", agreement.chance, "the same picks in a random order"),
        _knows_every_action(agreement, config),
    ]
    return _conclude(rules, agreement, cooling_decisions)


def judge_part(
    agreement: Agreement, certificate: Certificate, served_share: float | None = None, cooling_decisions: int = 0
) -> Verdict:
    """Judge a candidate that is to take the part of the decisions for which its agreement is certified.

    served_share: the share certified for the version that serves, which the candidate would replace; None: none serves.
    """
    share = certificate.share
    rules = [Rule("certified", share > 0, certificate.text, share, 0.0)]
    if served_share is not None:
        relation = "no less" if share >= served_share else "less"
        text = f"its certified share of {share:.1%} is {relation} than the {served_share:.1%} of the HRM that serves"
        rules.append(Rule("share", share >= served_share, text, share, served_share))
    return _conclude(rules, agreement, cooling_decisions)


def _conclude(rules: list[Rule], agreement: Agreement, cooling_decisions: int) -> Verdict:
    """Return the verdict by these rules and by those that every candidate meets."""
    if agreement.calibration_error is not None:
        text = describe_calibration(agreement.calibration_error, agreement.calibration_error_raw)
        rules.append(Rule("calibration", True, text, agreement.calibration_error))
    if cooling_decisions > 0:
        text = (
            "an HRM was rolled back: another one must know decisions made after that,"
            f" {cooling_decisions} more than this training had"
        )
        rules.append(Rule("cooling_down", False, text, cooling_decisions, 0.0))
    verdict = Verdict(tuple(rules), ())
    return verdict if verdict.passed else Verdict(tuple(rules), _advice(verdict))


def describe_calibration(error: float, raw: float | None) -> str:
    """Return the sentence on the calibration error; raw: the error without the temperature, None if unknown."""
    before = "" if raw is None else f", {raw:.2%} without"
    return f"calibration error of {error:.2%} with its temperature{before} (reported, not judged)"


def _reaches_threshold(agreement: Agreement, config: GateConfig) -> Rule:
    reaches = agreement.accuracy >= config.threshold
    points = 100 * (config.threshold - agreement.accuracy)
    relation = "at least the threshold" if reaches else f"{points:.2f} points below the threshold"
    text = (
        f"accuracy {agreement.accuracy:.2%} on {agreement.n} held-out decisions is {relation} of {config.threshold:.2%}"
    )
    return Rule("threshold", reaches, text, agreement.accuracy, config.threshold)


def _beats(agreement: Agreement, config: GateConfig, code: str, bound: float, what: str) -> Rule:
    low, _ = agreement.interval
    relation = "above" if low > bound else "not above"
    text = f"its {config.confidence:.0%} lower bound of {low:.2%} is {relation} the {bound:.2%} of {what}"
    return Rule(code, low > bound, text, low, bound)


def _knows_every_action(agreement: Agreement, config: GateConfig) -> Rule:
    least = config.common_share
    common = {name: found for name, found in agreement.per_action.items() if found.count >= least * agreement.n}
    never = [name for name, found in common.items() if found.recall == 0]
    share = f"at least {least:.0%} of the held-out decisions"
    if never:
        text = f"it never finds {', '.join(never)}, which the teacher takes in {share}"
    else:
        text = f"it finds every action that the teacher takes in {share}"
    lowest = min((found.recall for found in common.values()), default=None)
    return Rule("every_action", not never, text, lowest, 0.0)


def _advice(verdict: Verdict) -> tuple[str, ...]:
    broken = {rule.code for rule in verdict.rules if not rule.passed}
    if "certified" in broken:
        return (
            "collect more decisions (`collect=` of a Decider, `--collect` of `aegis start`): at 95% about 65 held-out"
            " ones are needed if the HRM agrees in all of them, more otherwise",
            "promise a lower agreement, or let it take over everything at a threshold",
        )
    if broken == {"cooling_down"}:
        return ("train again after them: `aegis start` does so by itself",)
    return (
        "collect more decisions (`aegis collect`), then train again",
        "train for more epochs (`--epochs`)",
        "check the data (`aegis check`, with the same --data or --workspace): duplicates, rare actions, bad records",
    )
