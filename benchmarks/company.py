"""Measure whether an answer depends on its batch: `python -m benchmarks.company --workspace workspace`.

Each backend of the serving HRM decides the recorded states one by one, then in random batches of 2, 32 and 256: the
answers should be the same. Also measured: accuracy on held-out decisions and the CPU time per decision.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from aegis import lifecycle
from aegis.config import TrainingConfig
from aegis.errors import AegisError
from aegis.experiments.timing import load_backends
from aegis.research import RESEARCH_ACTIONS
from aegis.research.run import read_shipped_data
from aegis.training import split_by_episode
from aegis.types import ActionList, Decision, Policy, State
from aegis.workspace import Workspace

BATCHES = (2, 32, 256)
_TIMED_STATES = 128
_ROUNDS = 5


def answer(policy: Policy, states: Sequence[State], actions: ActionList, size: int) -> np.ndarray[Any, Any]:
    """Return the probabilities (N, A), computed in batches of a size."""
    found = [policy.decide(states[at : at + size], actions) for at in range(0, len(states), size)]
    return np.concatenate([np.array([choice.probabilities for choice in choices]) for choices in found])


def measure_company(
    policy: Policy, states: Sequence[State], actions: ActionList, sizes: Sequence[int] = BATCHES, seed: int = 0
) -> dict[int, tuple[float, int]]:
    """Return, by batch size, the largest difference of a probability from the answer alone, and other actions."""
    alone = answer(policy, states, actions, 1)
    order = np.random.default_rng(seed).permutation(len(states))
    measured = {}
    for size in sizes:
        together = answer(policy, [states[at] for at in order], actions, size)
        others = int((together.argmax(-1) != alone[order].argmax(-1)).sum())
        measured[size] = float(np.abs(together - alone[order]).max()), others
    return measured


def time_backends(
    policies: dict[str, Policy], states: Sequence[State], actions: ActionList, sizes: Sequence[int]
) -> dict[str, dict[int, float]]:
    """Return the CPU milliseconds per decision by backend and batch size: the median of alternating rounds."""
    seconds: dict[str, dict[int, list[float]]] = {name: {size: [] for size in sizes} for name in policies}
    for _ in range(_ROUNDS):
        for size in sizes:
            for name, policy in policies.items():
                started = time.process_time()
                answer(policy, states, actions, size)
                seconds[name][size].append((time.process_time() - started) / len(states))
    return {name: {size: 1000 * median(own[size]) for size in sizes} for name, own in seconds.items()}


def report(policies: dict[str, Policy], decisions: Sequence[Decision], actions: ActionList) -> list[str]:
    """Return a line for each backend; the accuracy is of the held-out decisions and of all."""
    training = TrainingConfig()
    heldout = {decision.id for decision in split_by_episode(decisions, training.heldout_share, training.seed).heldout}
    states = [decision.state for decision in decisions]
    labels = np.array([actions.index(decision.action.name) for decision in decisions])
    held = np.array([decision.id in heldout for decision in decisions])
    spread = states[:: max(1, len(states) // _TIMED_STATES)]
    times = time_backends(policies, spread, actions, (1, *BATCHES[1:]))
    lines = []
    for name, policy in policies.items():
        right = answer(policy, states, actions, 32).argmax(-1) == labels
        company = measure_company(policy, states[:1000], actions)
        accuracy = f"accuracy {right[held].mean():.2%} of {held.sum()} held out, {right.mean():.2%} of {len(labels)};"
        lines.append(
            f"{name:<10} {accuracy}"
            + "".join(f" in {size}s {worst:.1e}, {others} others;" for size, (worst, others) in company.items())
            + " CPU ms a decision"
            + ",".join(f" {ms:.2f} in {size}s" if size > 1 else f" {ms:.2f} alone" for size, ms in times[name].items())
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"), help="a workspace in which an HRM serves")
    options = parser.parse_args()
    try:
        workspace = lifecycle.existing(Workspace(options.workspace))
        with lifecycle.open_store(workspace) as store:
            serving = lifecycle.find_serving(store, workspace)
        if serving is None:
            parser.error(f"{options.workspace}: no HRM serves here yet: run `aegis train` first")
        decisions = read_shipped_data().decisions
        training = TrainingConfig()
        heldout = split_by_episode(decisions, training.heldout_share, training.seed).heldout
        policies, chosen = load_backends(serving.folder, heldout, 1, print)
    except AegisError as error:
        sys.exit(f"{error}")
    print(f"auto decides by {chosen}. By backend, the largest difference from the answer alone, and other actions:")
    for line in report(policies, decisions, RESEARCH_ACTIONS):
        print(line)


if __name__ == "__main__":
    main()
