"""What versions that phase 4 improved still find of their teacher's actions, by audits.

Such a version may outgrow its teacher, so its agreement promises nothing. But an action that it no longer takes where
its teacher does may be unlearned: a reason for a person to look, and none to roll back. Rewards decide about that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from aegis.config import MonitorConfig
from aegis.promotion import AgreementMonitor, read_answers
from aegis.promotion.judging.by_episode import interval_by_episode
from aegis.store import DecisionStore, StateKey

KEPT_SHARE = 0.5
"""Of the recall that an action's base had, at the lower end of its interval: less than that leads to a warning"""
_LEAST_RECALL = 0.02
"""Recall below which a fall can't be told"""


class ActionMonitor:
    """Follows, action by action, in which share of the teacher's picks the versions improved from one base agree.

    recalls: by action, the least recall without a warning. All warnings without a fall together have the probability
    `MonitorConfig.alpha` at most, if the audits are independent. They are not gathered by episode, as an HRM's are
    before phase 4: an action would be warned of only after twenty audits more.
    """

    def __init__(self, recalls: Mapping[str, float], config: MonitorConfig | None = None) -> None:
        self._config = config or MonitorConfig()
        self.by_action = {name: AgreementMonitor(recall, self._config, largest=1) for name, recall in recalls.items()}
        self.taught: Counter[str] = Counter()
        """The teacher's picks in all audits"""
        self.taken: Counter[str] = Counter()
        """The versions' own picks in them"""

    @property
    def audit_rate(self) -> float:
        """The share of the decisions to audit now: larger while an action looks unlearned."""
        return max((monitor.audit_rate for monitor in self.by_action.values()), default=self._config.audit_rate)

    def rate_of(self, episode: str) -> float:
        """Return `audit_rate`, whatever the episode: audits are not gathered by episode."""
        return self.audit_rate

    def observe(self, own: str, answer: str) -> str:
        """Take an audit: the version's own pick and the teacher's; return a warning, or ''."""
        self.taught[answer] += 1
        self.taken[own] += 1
        monitor = self.by_action.get(answer)
        if monitor is None:
            return ""
        monitor.observe(own == answer)
        if monitor.evidence()["evidence"] < self.evidence_needed or monitor.warned:
            return ""
        monitor.warned = True
        return (
            f"takes {answer} in {monitor.agreed} of the {monitor.audits} audits in which its teacher does, surely less"
            f" than {monitor.promised:.0%}; of all audits it takes {answer} in {self._share(self.taken, answer):.0%},"
            f" its teacher in {self._share(self.taught, answer):.0%}"
        )

    @property
    def evidence_needed(self) -> float:
        """The evidence of a fall from which an action is warned of."""
        return max(1, len(self.by_action)) / self._config.alpha

    def describe(self) -> str:
        """Return what was found, in a few words."""
        found = [f"{name} {one.agreed} of {one.audits}" for name, one in self.by_action.items() if one.audits]
        return f"of its teacher's actions it takes {', '.join(found)}" if found else "no decision audited yet"

    def to_record(self) -> dict[str, Any]:
        """Return the state as JSON, from which `from_record` resumes, and which is the evidence of a warning."""
        return {
            "by_action": {name: monitor.to_record() for name, monitor in self.by_action.items()},
            "taught": dict(self.taught),
            "taken": dict(self.taken),
            "evidence_needed": self.evidence_needed,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], config: MonitorConfig | None = None) -> ActionMonitor:
        """Resume from a recorded state; raises `KeyError`, `TypeError` or `ValueError` for a malformed record."""
        monitor = cls({}, config)
        monitor.by_action = {
            str(name): AgreementMonitor.from_record(one, config, largest=1) for name, one in record["by_action"].items()
        }
        monitor.taught, monitor.taken = Counter(dict(record["taught"])), Counter(dict(record["taken"]))
        return monitor

    def _share(self, counts: Counter[str], name: str) -> float:
        return counts[name] / max(1, counts.total())


def read_action_monitor(store: DecisionStore, base: Path, config: MonitorConfig | None = None) -> ActionMonitor | None:
    """Return the state for versions improved from the base in this folder, new before the first audit.

    None where the base found no action often enough to tell a fall. Raises `CheckpointError` where no state is kept yet
    and the base's answers to its held-out decisions are missing or malformed.
    """
    try:
        if fields := store.state.record(StateKey.MONITOR, _about(base.name)):
            return ActionMonitor.from_record(fields, config)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # it can't be read: it begins anew
    recalls = least_recalls(base)
    return ActionMonitor(recalls, config) if recalls else None


@lru_cache(maxsize=16)  # asked for at every decision until the first audit; a base's answers do not change
def least_recalls(base: Path) -> Mapping[str, float]:
    """Return, by action, the least recall without a warning for versions improved from the base in this folder.

    It is measured on the base's held-out decisions, of which every training keeps the answers. Raises `CheckpointError`
    if they are missing or malformed.
    """
    answers = read_answers(base)
    probabilities, labels = answers.arrays()
    picked, episodes = probabilities.argmax(axis=1), np.asarray(answers.episodes)
    recalls = {}
    for place in np.unique(labels):
        asked = labels == place
        least = KEPT_SHARE * interval_by_episode(picked[asked] == place, episodes[asked])[0]
        if least >= _LEAST_RECALL:
            recalls[answers.actions[place]] = least
    return recalls


def keep_action_monitor(store: DecisionStore, base: str, monitor: ActionMonitor | None) -> None:
    """Keep the state; None: it begins anew, as after a roll-back."""
    if monitor is None:
        store.state.clear(StateKey.MONITOR, _about(base))
    else:
        store.state.keep(StateKey.MONITOR, monitor.to_record(), _about(base))


def _about(base: str) -> str:
    return f"improved from {base}"
