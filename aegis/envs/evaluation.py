"""What a policy reached in episodes that nothing was learned from: success and return, with intervals by episode."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from aegis.envs.episode import Episode
from aegis.promotion.judging.interval import Interval, mean_interval, share_interval


def reached_goal(episode: Episode) -> bool:
    """Tell whether an episode succeeded: by `info["is_success"]` where it is given, else by an end that earned."""
    if "is_success" in episode.info:
        return bool(episode.info["is_success"])
    return episode.terminated and episode.total > 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One policy's episodes. Each episode counts once, however many decisions it has."""

    policy: str
    seeds: tuple[int, ...]
    successes: tuple[bool, ...]
    returns: tuple[float, ...]
    decisions: int

    @classmethod
    def of(cls, policy: str, episodes: Iterable[Episode], succeeded: Callable[[Episode], bool]) -> Evaluation:
        """Return the evaluation of episodes, in the order of their seeds."""
        played = sorted(episodes, key=lambda episode: episode.seed)
        return cls(
            policy,
            tuple(episode.seed for episode in played),
            tuple(succeeded(episode) for episode in played),
            tuple(episode.total for episode in played),
            sum(len(episode.turns) for episode in played),
        )

    @property
    def success_rate(self) -> float:
        return fmean(self.successes)

    @property
    def success_interval(self) -> Interval:
        """At 95%, exact (Clopper and Pearson)."""
        return share_interval(sum(self.successes), len(self.successes))

    @property
    def mean_return(self) -> float:
        return fmean(self.returns)

    @property
    def return_interval(self) -> Interval:
        """At 95%, by Student's t."""
        return mean_interval(self.returns)

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        return {
            "policy": self.policy,
            "episodes": len(self.seeds),
            "first_seed": self.seeds[0],
            "success_rate": self.success_rate,
            "success_interval": list(self.success_interval),
            "mean_return": self.mean_return,
            "return_interval": list(self.return_interval),
            "decisions": self.decisions,
        }

    def __str__(self) -> str:
        rate, (low, high) = self.success_rate, self.success_interval
        least, most = self.return_interval
        return (
            f"{self.policy}: success {rate:.1%} ({low:.1%} to {high:.1%}), return {self.mean_return:.3f}"
            f" ({least:.3f} to {most:.3f}) in {len(self.seeds)} episodes"
        )
