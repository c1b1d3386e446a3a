"""The reward of each outcome, in a table; only the outcome's own facts count.

docs/rewards.md gives the reason for each rule, and what a policy could earn without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from aegis.bounds import read_json
from aegis.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RewardTable:
    """Rewards by action and outcome, in points. An unknown outcome brings none.

    A field's name is also the name of its part in an outcome's `components`. Raises `ConfigError` for a value that is
    not finite.
    """

    per_item: float = 1.0
    """web_search: for each new knowledge item; pieces of the same passage count once."""
    nothing_found: float = -0.5
    """web_search: no new item."""
    answered: float = 0.5
    """ask_human: a person answered within the time-out."""
    unanswered: float = -0.1
    """ask_human: nobody answered."""
    nobody_here: float = -0.1
    """ask_human: added to `unanswered` if nobody was present when it was asked."""
    repeated: float = -0.5
    """ask_human: not asked, because it was asked lately or enough questions wait."""
    approved: float = 10.0
    """propose_improvement: a person approved it."""
    pending: float = 1.0
    """propose_improvement: waits for a person."""
    rejected: float = -1.0
    """propose_improvement: a person rejected it; also takes back what it earned while it was pending."""
    duplicate: float = -2.0
    """propose_improvement: not made, because its aspect is pending or its value was proposed lately."""
    unfounded: float = -2.0
    """propose_improvement: not made, because nothing in the record supports it or enough proposals wait."""
    idle: float = -0.1
    """idle: a decision to do nothing."""
    failed: float = -0.2
    """Any action that could not be carried out, such as a search whose provider is down."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ConfigError(f"rewards: {field.name} must be a finite number, not {value!r}")

    def part(self, name: str, times: int = 1) -> dict[str, float]:
        """Return a reward of a single kind as an outcome's components."""
        return {name: times * float(getattr(self, name))}

    def of_search(self, passages: int) -> dict[str, float]:
        """Return the components of a search that brought new items from this many passages."""
        return self.part("per_item", passages) if passages else self.part("nothing_found")

    def of_question(self, answered: bool, asked_away: bool) -> dict[str, float]:
        """Return the components of an answered or expired question; asked_away: asked while nobody was present."""
        if answered:
            return self.part("answered")
        return self.part("unanswered") | (self.part("nobody_here") if asked_away else {})


def total(components: Mapping[str, float]) -> float:
    """Return the reward that is the sum of these components."""
    return math.fsum(components.values())


def make_table(changes: Mapping[str, Any]) -> RewardTable:
    """Return the default table with other values; raises `ConfigError` for an unknown name."""
    names = [field.name for field in fields(RewardTable)]
    if unknown := [name for name in changes if name not in names]:
        raise ConfigError(f"rewards: {unknown[0]!r} is no reward: there are {', '.join(names)}")
    return RewardTable(**changes)


def read_rewards(path: Path) -> dict[str, float]:
    """Return the rewards that a JSON file sets, by field of `RewardTable`; other fields keep their default.

    Raises `ConfigError` for a file that can't be read, is no JSON object, or has a wrong field.
    """
    try:
        given = read_json(path)
    except OSError as error:
        raise ConfigError(f"--rewards {path}: can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"--rewards {path}: not JSON ({error})") from error
    if not isinstance(given, dict):
        raise ConfigError(f'--rewards {path}: expected an object of numbers, such as {{"idle": -0.2}}')
    try:
        make_table(given)
    except ConfigError as error:
        raise ConfigError(f"--rewards {path}: {error}") from None
    return {name: float(value) for name, value in given.items()}
