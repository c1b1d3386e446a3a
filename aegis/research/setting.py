"""The settings that a proposal may change: their bounds, and a workspace's approved values."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Literal

from aegis.config import AgentConfig
from aegis.errors import ActionError
from aegis.research.rewards import RewardTable, make_table
from aegis.store import Database

Kind = Literal["agent", "reward", "training", "model", "gate", "search"]
Value = float | str
_REWARD = "reward_"


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that a proposal may change: its kind and its bounds."""

    name: str
    """As in a proposal's aspect"""
    kind: Kind
    low: float
    high: float
    whole: bool
    """Whether it is a whole number"""

    @property
    def is_tried(self) -> bool:
        """Whether a training compares a change with the value before it, on the same held-out decisions."""
        return self.kind in ("training", "model")

    @property
    def needs_a_person(self) -> bool:
        """Whether no rule may approve it: an agent must not lower its own gate or raise its own rewards."""
        return self.kind in ("gate", "reward")

    @property
    def bounds(self) -> str:
        return f"lie between {self.low:g} and {self.high:g}"

    def clamp(self, value: float) -> float:
        """Return the nearest allowed value."""
        bounded = min(self.high, max(self.low, value))
        return round(bounded) if self.whole else bounded

    def allows(self, value: Any, before: Any = None) -> bool:
        """Tell whether a value is of the right type and within the bounds."""
        right = isinstance(value, int) if self.whole else isinstance(value, (int, float))
        return right and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class OrderSetting:
    """An order of names, with commas between, that may be changed to another order of the same names."""

    name: str
    kind: Kind

    is_tried: ClassVar[bool] = False
    needs_a_person: ClassVar[bool] = False
    bounds: ClassVar[str] = "name what it named before, in another order"

    def allows(self, value: Any, before: Any = None) -> bool:
        """Return whether a value names exactly the same names as the value before it."""
        return (
            isinstance(value, str) and isinstance(before, str) and sorted(value.split(",")) == sorted(before.split(","))
        )


SETTINGS: dict[str, Setting | OrderSetting] = {
    setting.name: setting
    for setting in (
        Setting("hits_per_search", "agent", 1, 10, whole=True),
        Setting("open_questions_limit", "agent", 1, 16, whole=True),
        Setting("answer_timeout_seconds", "agent", 1.0, 86_400.0, whole=False),
        Setting("questions_per_item", "agent", 0, 5, whole=True),
        Setting("reward_idle", "reward", -2.0, 0.0, whole=False),
        Setting("reward_nothing_found", "reward", -2.0, 0.0, whole=False),
        Setting("epochs", "training", 1, 100, whole=True),
        Setting("learning_rate", "training", 1e-5, 1e-2, whole=False),
        Setting("high_cycles", "model", 1, 4, whole=True),
        Setting("low_cycles", "model", 1, 6, whole=True),
        Setting("threshold", "gate", 0.6, 0.95, whole=False),
        OrderSetting("search_order", "search"),
    )
}
"""Every setting that a proposal may change."""


@dataclass(frozen=True, slots=True)
class Change:
    """A setting as changed by an approved proposal."""

    name: str
    value: Value
    before: Value
    proposal: int | None
    on_trial: bool
    """It waits for the training that tries it, and is not in use before"""
    kept: Value | None = None
    """Of a change on trial: the earlier change's value, which stays in use meanwhile and returns if this is undone"""

    @property
    def in_use(self) -> Value | None:
        """The value in use; None for the configuration's."""
        return self.kept if self.on_trial else self.value


class SettingBook:
    """The settings that approved proposals have changed in a workspace; the newest change of each counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def change(self, name: str, value: Value, before: Value, proposal: int | None, now: datetime) -> str:
        """Record a change and return when it takes effect, in words.

        Raises `ActionError` for an unknown setting, or a value out of its bounds.
        """
        setting = SETTINGS.get(name)
        if setting is None:
            raise ActionError(f"{name!r} is no setting that a proposal may change")
        if not setting.allows(value, before):
            raise ActionError(f"{name} must {setting.bounds}, not be {value!r}")
        with self._database.transaction() as connection:
            earlier = next((change for change in self.changes() if change.name == name), None)
            kept = earlier.in_use if earlier is not None and setting.is_tried else None
            connection.execute(
                "INSERT INTO settings (name, value, before, proposal, on_trial, changed_at, kept)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value,"
                " before = excluded.before, proposal = excluded.proposal, on_trial = excluded.on_trial,"
                " changed_at = excluded.changed_at, kept = excluded.kept",
                (
                    *(name, json.dumps(value), json.dumps(before), proposal, int(setting.is_tried), now.isoformat()),
                    None if kept is None else json.dumps(kept),
                ),
            )
        if setting.is_tried:
            return "tried at the next training, beside the value before it"
        return "in use from the next training on" if setting.kind == "gate" else "in use at once"

    def changes(self) -> list[Change]:
        """Return all changes, the oldest first."""
        rows = self._database.query("SELECT * FROM settings ORDER BY changed_at, name")
        return [
            Change(
                *(r["name"], json.loads(r["value"]), json.loads(r["before"]), r["proposal"], bool(r["on_trial"])),
                kept=None if r["kept"] is None else json.loads(r["kept"]),
            )
            for r in rows
        ]

    def next_trial(self) -> Change | None:
        """Return the change that the next training is to try, or None."""
        return next((change for change in self.changes() if change.on_trial), None)

    def settle_trial(self, change: Change, keep: bool, effect: str, now: datetime) -> None:
        """End a trial: keep the change, or restore the value before it; its proposal records which, and why."""
        with self._database.transaction() as connection:
            if keep:
                connection.execute("UPDATE settings SET on_trial = 0, kept = NULL WHERE name = ?", (change.name,))
            elif change.kept is not None:
                connection.execute(
                    "UPDATE settings SET on_trial = 0, value = kept, kept = NULL WHERE name = ?", (change.name,)
                )
            else:
                connection.execute("DELETE FROM settings WHERE name = ?", (change.name,))
            connection.execute("UPDATE proposals SET effect = ? WHERE id = ?", (effect, change.proposal))

    def values(self, kind: Kind) -> dict[str, Any]:
        """Return the values in use that differ from the configuration's, by name; without those on trial."""
        changes = [change for change in self.changes() if SETTINGS[change.name].kind == kind]
        return {change.name: change.in_use for change in changes if change.in_use is not None}

    def agent_config(self, config: AgentConfig) -> AgentConfig:
        """Return the configuration with the changes in use."""
        return replace(config, **self.values("agent"))

    def search_order(self) -> str | None:
        """Return the approved order of search providers, with commas between; None if there is none."""
        return self.values("search").get("search_order")

    def reward_table(self, config: AgentConfig | None = None) -> RewardTable:
        """Return the configuration's rewards with the changes in use."""
        changed = {name.removeprefix(_REWARD): value for name, value in self.values("reward").items()}
        return make_table({**(config.rewards if config else {}), **changed})
