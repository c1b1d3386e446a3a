"""A full-size HRM among many actions: `python -m benchmarks.many_actions [--actions 1000]`.

Trains one epoch on generated decisions and prints the time and the process's peak memory. Then times one decision among
4 and among all actions, in turns, by the eager model and by its ONNX graphs. The model is hardly trained: its answers
mean nothing.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from statistics import median

from aegis.config import HRMConfig, TrainingConfig
from aegis.hrm import HRMPolicy
from aegis.hrm.onnx.export import compile_policy
from aegis.training import ImitationTrainer
from aegis.types import Action, ActionList, ActionSpec, Decision, Policy

FEW = 4
STATE = {"ticket": "My parcel arrived broken."}


def make_actions(count: int) -> ActionList:
    """Return actions whose words have several tokens, most of them in common."""
    return ActionList(tuple(ActionSpec(f"action_{k}", f"send letter {k} {k % 7}", "") for k in range(count)))


def make_decisions(actions: ActionList, count: int) -> list[Decision]:
    """Return decisions in which the state names the action."""
    places = [number * 37 % len(actions) for number in range(count)]
    return [
        Decision(
            f"e{number // 10}",
            number % 10,
            {"ticket": f"letter {place} is wanted, kind {number % 7}", "number": number},
            actions.names,
            Action(actions.names[place]),
            None,
            "generated",
        )
        for number, place in enumerate(places)
    ]


def train(actions: ActionList, decisions: int, model: HRMConfig) -> tuple[HRMPolicy, float]:
    """Return an HRM after one epoch, and the epoch's seconds."""
    made = make_decisions(actions, decisions)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = ImitationTrainer(actions, TrainingConfig(epochs=1), model).train(made, made[:50], Path(folder))
    return run.policy, time.perf_counter() - started


def time_decisions(policies: dict[str, tuple[Policy, ActionList]], repeats: int) -> dict[str, float]:
    """Return the median milliseconds of one decision of each policy among its actions, measured in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in policies}
    for _ in range(repeats + 1):
        for name, (policy, actions) in policies.items():
            started = time.perf_counter()
            policy.decide([STATE], actions)
            seconds[name].append(time.perf_counter() - started)
    return {name: 1000 * median(taken[1:]) for name, taken in seconds.items()}


def peak_mb() -> float:
    """Return the most memory that this process held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actions", type=int, default=1000)
    parser.add_argument("--decisions", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=40)
    options = parser.parse_args()
    if options.actions <= FEW or options.decisions < 100:
        parser.error(f"give more than {FEW} --actions and at least 100 --decisions")
    policy, seconds = train(make_actions(options.actions), options.decisions, HRMConfig())
    print(f"one epoch of {options.decisions} decisions among {options.actions} actions: {seconds:.1f} s")
    print(f"peak memory: {peak_mb():.0f} MB")
    policies: dict[str, tuple[Policy, ActionList]] = {}
    for count in (FEW, options.actions):
        actions = make_actions(count)
        among = policy.with_actions(actions)
        policies |= {f"eager {count}": (among, actions), f"onnx {count}": (compile_policy(among), actions)}
    found = time_decisions(policies, options.repeats)
    for backend in ("eager", "onnx"):
        few, many = found[f"{backend} {FEW}"], found[f"{backend} {options.actions}"]
        print(f"{backend}: {many:.2f} ms against {few:.2f} among {FEW}, {many / few:.2f} times")
    print(f"peak memory with the graphs: {peak_mb():.0f} MB")


if __name__ == "__main__":
    main()
