"""What each outcome is worth, in one table; it looks at nothing but the outcome's own facts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RewardTable:
    """Rewards by action and outcome, in points. An unknown outcome brings none."""

    per_item: float = 1.0
    """web_search: for each new knowledge item."""
    nothing_found: float = -0.5
    """web_search: when it brings no new item."""
    answered: float = 0.5
    """ask_human: a person answered within the time-out."""
    unanswered: float = -0.1
    """ask_human: nobody did."""
    approved: float = 10.0
    """propose_improvement: a person approved it."""
    pending: float = 1.0
    """propose_improvement: it waits for a person."""
    rejected: float = -1.0
    """propose_improvement: a person rejected it."""
    duplicate: float = -2.0
    """propose_improvement: one on the same aspect is pending already."""
    idle: float = -0.1
    """idle: a decision that did nothing."""

    def of_search(self, gained: int) -> float:
        """Return the reward of a search that brought `gained` new knowledge items."""
        return self.per_item * gained if gained else self.nothing_found
