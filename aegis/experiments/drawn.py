"""The drawn decisions that may judge a version: those that it did not learn from, and how many rewards they lack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from aegis.errors import NotEnoughDataError
from aegis.experiments.learned import Learned
from aegis.experiments.off_policy import Rewarded
from aegis.promotion.judging.by_episode import interval_by_episode
from aegis.rendering import counted
from aegis.store import NumberedExample
from aegis.types import Decision

LEAST_OF_ACTION = 20
"""Fewest drawn decisions of an action whose share of rewards is compared"""
LEAST_DIFFERENCE = 0.1
"""Smallest difference between two actions' shares of known rewards that a warning tells of"""
_CONFIDENCE = 0.99
"""Of each action's interval, by episode; the two that differ most must not overlap"""


@dataclass(slots=True)
class Drawn:
    """Drawn decisions that may judge a version, and how many were left out."""

    version: str
    learned: Learned
    rewarded: list[Rewarded] = field(default_factory=list)
    unrewarded: list[Decision] = field(default_factory=list)
    by_rewards: int = 0
    """Decisions with a reward, left out because phase 4 may have learned from them"""
    by_imitation: int = 0
    """The same, for the training of the version or of its base"""
    unknown: int = 0
    """Decisions among `rewarded` that it may have learned from: nothing here tells"""

    def check(self) -> None:
        """Raise `NotEnoughDataError` where every decision with a reward was left out."""
        if self.left_out and not self.rewarded:
            raise NotEnoughDataError(
                f"{self.version} learned from {self._counts()}, and there is no other drawn decision with a reward: let"
                " it decide on, drawing some (`aegis.DeciderConfig(explore=0.05)`), and report rewards"
            )

    @property
    def left_out(self) -> int:
        return self.by_rewards + self.by_imitation

    def describe_left_out(self) -> str:
        """Return how many decisions were left out, and why; '' for none."""
        if not self.left_out:
            return ""
        return f"left out: {self._counts()} that {self.version} learned from: there it looks better than it is"

    def warnings(self) -> list[str]:
        """Return what may make the estimates wrong."""
        found = [self._describe_unknown()] if self.unknown else []
        uneven = self._describe_uneven()
        return [*found, uneven] if uneven else found

    def to_record(self) -> dict[str, Any]:
        """Return the counts as a JSON object."""
        return {
            "left_out": {"by_rewards": self.by_rewards, "by_imitation": self.by_imitation},
            "unknown": self.unknown,
            "known_rewards": {name: [sum(known), len(known)] for name, (known, _) in self._by_action().items()},
            "warnings": self.warnings(),
        }

    def _counts(self) -> str:
        root = self.learned.imitated.version
        whose = "its training" if root == self.version else f"the training of its base {root}"
        parts = [(self.by_rewards, "by phase 4"), (self.by_imitation, f"by {whose}")]
        return f"{counted(self.left_out, 'decision')} ({', '.join(f'{n:,} {how}' for n, how in parts if n)})"

    def _describe_unknown(self) -> str:
        imitated = self.learned.imitated
        return (
            f"{counted(self.unknown, 'decision')} older than {imitated.version}, which learned from {imitated.source}:"
            f" whether they are among those is not known here; if so, {self.version} looks better than it is"
        )

    def _describe_uneven(self) -> str:
        """Return the two actions whose shares of known rewards surely differ most; '' where none do."""
        shares = []
        for name, (known, episodes) in self._by_action().items():
            if len(known) >= LEAST_OF_ACTION:
                low, high = interval_by_episode(known, episodes, _CONFIDENCE)
                shares.append((float(np.mean(known)), low, high, name))
        least, most = min(shares, default=None), max(shares, default=None)
        if least is None or most is None or most[0] - least[0] < LEAST_DIFFERENCE or least[2] >= most[1]:
            return ""
        return (
            f"a reward is known of {least[0]:.0%} of the drawn decisions that took {least[3]}, and of {most[0]:.0%} of"
            f" those that took {most[3]}: where it is missing because of what it was, these figures are wrong"
        )

    def _by_action(self) -> dict[str, tuple[list[bool], list[str]]]:
        """Return for each action whether each decision's reward is known, and the decision's episode."""
        found: dict[str, tuple[list[bool], list[str]]] = {}
        for known, decisions in ((True, [one.decision for one in self.rewarded]), (False, self.unrewarded)):
            for decision in decisions:
                rows, episodes = found.setdefault(decision.action.name, ([], []))
                rows.append(known)
                episodes.append(decision.episode)
        return found


def read_drawn(
    examples: Iterable[NumberedExample], version: str, learned: Learned, since: datetime | None = None
) -> Drawn:
    """Return the decisions that were drawn, with probabilities, and that a version did not learn from.

    since: only those made from then on.
    """
    found = Drawn(version, learned)
    for (decision, outcome), place, _, _ in examples:
        if decision.propensity is None or decision.probabilities is None:
            continue
        if since is not None and decision.decided_at < since:
            continue
        known = outcome is not None and outcome.reward is not None
        if learned.by_rewards(place):
            found.by_rewards += known
        elif learned.imitated.learned(place, decision):
            found.by_imitation += known
        elif outcome is None or outcome.reward is None:
            found.unrewarded.append(decision)
        else:
            found.rewarded.append(Rewarded(decision, outcome.reward))
            found.unknown += learned.imitated.is_unknown(decision)
    return found
