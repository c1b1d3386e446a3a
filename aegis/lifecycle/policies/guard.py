"""Tells a policy's failures from all other errors, and computes the pauses after them."""

from __future__ import annotations

from collections.abc import Sequence

from aegis.errors import PolicyFailedError
from aegis.lifecycle.policies.wrapped import WrappedPolicy
from aegis.types import ActionList, Choice, State


class GuardedPolicy(WrappedPolicy):
    """Asks another policy, which may be exchanged between two decisions; any error of that policy is its failure."""

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the policy's choices; raises `PolicyFailedError` where the policy can't decide, for any reason."""
        try:
            return self.policy.decide(states, actions)
        except Exception as error:
            raise PolicyFailedError(f"{self.name}: {error}") from error


class Patience:
    """Pauses that double with each failure in a row, up to the longest; in seconds."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self.failures = 0

    @property
    def exhausted(self) -> bool:
        """Whether the pauses have stopped growing."""
        return self._pause(self.failures) >= self._longest

    def next_pause(self) -> float:
        """Count a failure and return the pause that follows it."""
        self.failures += 1
        return self._pause(self.failures)

    def reset(self) -> None:
        """Start over, after a success."""
        self.failures = 0

    def _pause(self, failures: int) -> float:
        return min(self._longest, self._first * 2.0 ** min(failures - 1, 60))
