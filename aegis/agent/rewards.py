"""What each outcome is worth, in one table; it looks at nothing but the outcome's own facts.

Why each rule is there, and what a policy could earn without it: docs/rewards.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from aegis.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RewardTable:
    """Rewards by action and outcome, in points. An unknown outcome brings none.

    A field's name is also the name of its part in an outcome's `components`. Raises `ConfigError` for a value that is
    not a finite number.
    """

    per_item: float = 1.0
    """web_search: for each new knowledge item; pieces of one passage count once."""
    nothing_found: float = -0.5
    """web_search: when it brings no new item."""
    answered: float = 0.5
    """ask_human: a person answered within the time-out."""
    unanswered: float = -0.1
    """ask_human: nobody did."""
    nobody_here: float = -0.1
    """ask_human: added to `unanswered` where nobody was here when it was asked."""
    repeated: float = -0.5
    """ask_human: the same question was asked lately, or enough questions wait; it is not asked."""
    approved: float = 10.0
    """propose_improvement: a person approved it."""
    pending: float = 1.0
    """propose_improvement: it waits for a person."""
    rejected: float = -1.0
    """propose_improvement: a person rejected it; takes back what it brought while it was pending."""
    duplicate: float = -2.0
    """propose_improvement: one on the same aspect is pending, or the same value was proposed lately."""
    unfounded: float = -2.0
    """propose_improvement: nothing in the record speaks for it, or enough proposals wait; it is not made."""
    idle: float = -0.1
    """idle: a decision that did nothing."""
    failed: float = -0.2
    """Any action that could not be carried out, as a search whose provider is down."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ConfigError(f"rewards: {field.name} must be a finite number, not {value!r}")

    def part(self, name: str, times: int = 1) -> dict[str, float]:
        """Return a reward of one kind as an outcome's components."""
        return {name: times * float(getattr(self, name))}

    def of_search(self, passages: int) -> dict[str, float]:
        """Return the components of a search that brought new items out of so many passages."""
        return self.part("per_item", passages) if passages else self.part("nothing_found")

    def of_question(self, answered: bool, asked_away: bool) -> dict[str, float]:
        """Return the components of a question that waits no more; asked_away: nobody was here when it was asked."""
        if answered:
            return self.part("answered")
        return self.part("unanswered") | (self.part("nobody_here") if asked_away else {})


def total(components: Mapping[str, float]) -> float:
    """Return the reward that these components make."""
    return math.fsum(components.values())


def make_table(changes: Mapping[str, Any]) -> RewardTable:
    """Return the default table with other values; raises `ConfigError` for a name that is no field."""
    names = [field.name for field in fields(RewardTable)]
    if unknown := [name for name in changes if name not in names]:
        raise ConfigError(f"rewards: {unknown[0]!r} is no reward: there are {', '.join(names)}")
    return RewardTable(**changes)


def read_rewards(path: Path) -> dict[str, float]:
    """Return the rewards that a JSON file sets, by field of `RewardTable`; those it leaves out keep their default.

    Raises `ConfigError` for a file that can't be read, is no JSON object, or has a field that is wrong.
    """
    try:
        given = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"--rewards {path}: can't be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--rewards {path}: not JSON ({error})") from error
    if not isinstance(given, dict):
        raise ConfigError(f'--rewards {path}: expected an object of numbers, such as {{"idle": -0.2}}')
    try:
        make_table(given)
    except ConfigError as error:
        raise ConfigError(f"--rewards {path}: {error}") from None
    return {name: float(value) for name, value in given.items()}
