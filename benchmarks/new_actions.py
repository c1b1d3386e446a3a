"""What an HRM makes of actions that are added after its training: `python -m benchmarks.new_actions FILE`.

Some actions are drawn, and an HRM learns from the decisions without them. Then they are added by their words alone, and
the HRM answers the held-out episodes. A second HRM learns from all decisions, for comparison. FILE: what
`aegis scan` reads, e.g. of `python -m benchmarks.decisions.bfcl`.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aegis.config import HRMConfig, TrainingConfig
from aegis.door.given import make_actions
from aegis.hrm import HRMPolicy
from aegis.training import ImitationTrainer, split_by_episode
from aegis.types import ActionList, Decision
from benchmarks.forecast import read_rows

LEAST_DECISIONS = 10
"""An action is drawn among those with as many decisions, without the commonest of all"""


@dataclass(frozen=True, slots=True)
class Answers:
    """A policy's answers to some held-out decisions."""

    decisions: int
    accuracy: float
    mean_rank: float
    """Of the action taken, 1 at best"""
    chance_rank: float
    """Of an action drawn at random"""
    invading: float
    """Share of the decisions in which a new action is the most probable"""


def draw_new(decisions: Sequence[Decision], count: int, seed: int) -> frozenset[str]:
    """Return the names of the actions that are added later."""
    common = Counter(decision.action.name for decision in decisions).most_common()
    names = sorted(name for name, found in common[1:] if found >= LEAST_DECISIONS)
    return frozenset(random.Random(seed).sample(names, count))


def without(decisions: Sequence[Decision], new: frozenset[str]) -> list[Decision]:
    """Return the decisions for other actions, made among these alone."""
    return [
        replace(one, actions=tuple(name for name in one.actions if name not in new))
        for one in decisions
        if one.action.name not in new
    ]


def measure(policy: HRMPolicy, decisions: Sequence[Decision], actions: ActionList, new: frozenset[str]) -> Answers:
    """Return a policy's answers to decisions, among these actions."""
    chosen = np.array([actions.index(one.action.name) for one in decisions])
    found = policy.decide([one.state for one in decisions], actions)
    rows = np.array([choice.probabilities for choice in found])
    ranks = 1 + (rows > rows[np.arange(len(rows)), chosen][:, None]).sum(axis=1)
    best = rows.argmax(axis=1)
    return Answers(
        len(decisions),
        round(float((best == chosen).mean()), 4),
        round(float(ranks.mean()), 1),
        (len(actions) + 1) / 2,
        round(float(np.isin(best, [actions.index(name) for name in new if name in actions]).mean()), 4),
    )


def train(actions: ActionList, decisions: Sequence[Decision], config: TrainingConfig, model: HRMConfig) -> HRMPolicy:
    """Return an HRM that learned from decisions."""
    with tempfile.TemporaryDirectory() as folder:
        return ImitationTrainer(actions, config, model).train(decisions, decisions[:1], Path(folder)).policy


def compare(decisions: Sequence[Decision], config: TrainingConfig, model: HRMConfig, count: int) -> dict[str, Any]:
    """Return the answers before the addition, after it, and of an HRM that learned from the new actions, too."""
    actions = make_actions(sorted({name for one in decisions for name in one.actions}))
    new = draw_new(decisions, count, config.seed)
    old = actions.only([name for name in actions.names if name not in new])
    split = split_by_episode(decisions, config.heldout_share, config.seed)
    asked = [one for one in split.heldout if one.action.name in new]
    others = [one for one in split.heldout if one.action.name not in new]
    earlier = train(old, without(split.train, new), config, model)
    added, whole = earlier.with_actions(actions), train(actions, split.train, config, model)
    return {
        "new actions": sorted(new),
        "old decisions before the addition": measure(earlier, others, old, new),
        "old decisions after it": measure(added, others, actions, new),
        "new decisions after it": measure(added, asked, actions, new),
        "old decisions, learned together": measure(whole, others, actions, new),
        "new decisions, learned together": measure(whole, asked, actions, new),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--new", type=int, default=8, help="actions that are added later")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the actions and of the split")
    parser.add_argument("--epochs", type=int, default=TrainingConfig().epochs)
    options = parser.parse_args()
    decisions = [row.decision for row in read_rows(options.file) if row.decision is not None]
    for seed in range(options.seeds):
        started = time.perf_counter()
        config = replace(TrainingConfig(), epochs=options.epochs, seed=seed)
        found = compare(decisions, config, HRMConfig(), options.new)
        found["seconds"] = round(time.perf_counter() - started)
        print(json.dumps({"seed": seed} | found, default=asdict, indent=2), flush=True)


if __name__ == "__main__":
    main()
