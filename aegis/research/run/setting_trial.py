"""Carries out the agent's proposals while it runs by itself: decided by rule, put in use, tried, kept or undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from aegis.config import AgentConfig
from aegis.config.plan import SettingTrial, TrainingPlan
from aegis.research import SETTINGS, ApprovalQueue, Change, RewardTable, SettingBook
from aegis.store import Database
from aegis.types import utc_now


@dataclass(frozen=True, slots=True)
class SettingsInUse:
    """The settings that an agent runs with now."""

    agent: AgentConfig
    rewards: RewardTable
    search_order: str | None


class SettingSupervisor:
    """Keeps the settings of one workspace up to date for the agent that runs in it.

    approve: `never`, `ask` or `bounded`, see `RunConfig.approve`.
    """

    def __init__(self, database: Database, config: AgentConfig, approve: str) -> None:
        self._queue = ApprovalQueue(database)
        self._book = SettingBook(database)
        self._config = config
        self._approve = approve
        self.in_use = self._read()

    def decide_by_rule(self, tell: Callable[[str, str, dict[str, Any]], None]) -> None:
        """Approve or reject the waiting proposals that the rule covers; the others wait for a person."""
        if self._approve == "ask":
            return
        for queued in self._queue.pending():
            setting = SETTINGS.get(queued.aspect)
            fits = (
                setting is not None
                and not setting.needs_a_person
                and setting.allows(queued.change["to"], queued.change["from"])
            )
            approves = self._approve == "bounded" and fits
            if self._approve == "never" or approves:
                effect = self._queue.decide(queued.id, approves, utc_now(), by="rule")
                done = "approved" if approves else "rejected"
                text = f"proposal {queued.id} ({queued.aspect}) {done} by rule: {effect}"
                tell("setting", text, {"proposal": queued.id, "aspect": queued.aspect, "approved": approves})

    def take_change(self) -> bool:
        """Take up the agent's settings as they are now; return whether they have changed since the last call."""
        before, self.in_use = self.in_use, self._read()
        return self.in_use != before

    def apply_to(self, plan: TrainingPlan) -> TrainingPlan:
        """Return a training's plan with the changes that are in use, and with the change that it is to try."""
        for part in ("training", "model", "gate"):
            plan = plan.with_changes(part, self._book.values(part))
        change = self._book.next_trial()
        return plan if change is None else replace(plan, trial=SettingTrial(change.name, change.value))

    def _read(self) -> SettingsInUse:
        return SettingsInUse(
            self._book.agent_config(self._config), self._book.reward_table(self._config), self._book.search_order()
        )


def settle_trial(database: Database, name: str, tried: float, before: float) -> bool:
    """Keep a change after its trial, or undo it where it did worse; return whether it is kept.

    tried, before: accuracy on the same held-out decisions, with the change and without.
    """
    book = SettingBook(database)
    change: Change | None = next((one for one in book.changes() if one.name == name and one.on_trial), None)
    keep = tried >= before
    if change is not None:
        compared = f"{tried:.2%} with {change.value}, {before:.2%} without, on the same held-out decisions"
        book.settle_trial(change, keep, f"{'kept' if keep else 'undone'}: {compared}", utc_now())
    return keep
