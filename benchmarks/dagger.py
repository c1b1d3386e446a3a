"""The worth of the next labels, chosen by the HRM's doubts or at random: `python -m benchmarks.dagger`.

In DAgger (Ross et al. 2011, arXiv:1011.0686) the teacher labels the learner's own states. Here the teacher's answers
are already recorded (benchmarks/comparison), so that choosing costs nothing. For each seed: train on 1,100 decisions of
whole episodes, choose 220 of the pool by each rule, train anew on 1,320, and measure on fresh episodes. Each training
is a line of the JSON Lines file, so that a stopped run can continue.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aegis.config import HRMConfig, TrainingConfig
from aegis.hrm import HRMPolicy
from aegis.lifecycle import read_training_data
from aegis.promotion.judging.interval import mean_interval
from aegis.rendering import render_state
from aegis.research import RESEARCH_ACTIONS
from aegis.training import ImitationTrainer
from aegis.types import Decision

DATA = Path(__file__).parent / "comparison" / "decisions.jsonl.gz"
FIRST_RUN = 5170
"""Decisions of the file's first run; the later decisions are from other worlds"""
BASE = "none"
RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Pools:
    """The decisions of a seed, each part in whole episodes."""

    train: list[Decision]
    pool: list[Decision]
    fresh: list[Decision]
    """Fresh decisions whose state does not occur in the other parts"""


def divide(decisions: Sequence[Decision], train: int, fresh: int, seed: int) -> Pools:
    """Divide decisions by episodes drawn by the seed: at least this many to train and measure on, the rest a pool."""
    episodes: dict[str, list[Decision]] = {}
    for decision in decisions:
        episodes.setdefault(decision.episode, []).append(decision)
    names = sorted(episodes)
    random.Random(seed).shuffle(names)
    parts: dict[str, list[Decision]] = {"train": [], "fresh": [], "pool": []}
    for name in names:
        part = "train" if len(parts["train"]) < train else "fresh" if len(parts["fresh"]) < fresh else "pool"
        parts[part] += episodes[name]
    known = {render_state(decision.state) for decision in (*parts["train"], *parts["pool"])}
    parts["fresh"] = [decision for decision in parts["fresh"] if render_state(decision.state) not in known]
    return Pools(**parts)


@dataclass(frozen=True, slots=True)
class Doubts:
    """What a rule may use to choose."""

    probabilities: np.ndarray
    """(pool, A): the HRM's probabilities"""
    represented: np.ndarray
    """(pool, D): the HRM's representation of the states"""
    known: np.ndarray
    """(train, D): the same of its training states"""
    overruled: np.ndarray
    """(pool,): whether the teacher takes another action; to know it, the teacher must answer each state drawn"""

    @property
    def lead(self) -> np.ndarray:
        """(pool,): the lead of the most probable action."""
        ordered = np.sort(self.probabilities, axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -2])


def at_random(doubts: Doubts, count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(len(doubts.probabilities))[:count]


def least_confident(doubts: Doubts, count: int, rng: np.random.Generator) -> np.ndarray:
    return np.argsort(doubts.probabilities.max(axis=1), kind="stable")[:count]


def smallest_lead(doubts: Doubts, count: int, rng: np.random.Generator) -> np.ndarray:
    return np.argsort(doubts.lead, kind="stable")[:count]


def farthest(doubts: Doubts, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose the states least like any in training; each counts as known once it is chosen (k-center)."""
    return _spread(doubts, np.arange(len(doubts.probabilities)), count)


def doubtful_and_spread(doubts: Doubts, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose, of three times as many with the smallest lead, the states farthest apart."""
    return _spread(doubts, smallest_lead(doubts, 3 * count, rng), count)


def half_and_half(doubts: Doubts, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose half by the smallest lead, and half at random of the others: usual states must not be forgotten."""
    doubtful = smallest_lead(doubts, count // 2, rng)
    others = np.setdiff1d(np.arange(len(doubts.probabilities)), doubtful)
    return np.concatenate([doubtful, rng.permutation(others)[: count - len(doubtful)]])


def overruled(doubts: Doubts, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose states in which the teacher overrules the HRM, met at random: as many labels, more questions."""
    return rng.permutation(np.flatnonzero(doubts.overruled))[:count]


RULES: dict[str, Callable[[Doubts, int, np.random.Generator], np.ndarray]] = {
    RANDOM: at_random,
    "confidence": least_confident,
    "lead": smallest_lead,
    "distance": farthest,
    "lead-spread": doubtful_and_spread,
    "half": half_and_half,
    "overruled": overruled,
}


def _spread(doubts: Doubts, candidates: np.ndarray, count: int) -> np.ndarray:
    """Return the candidates that are, one after the other, farthest from all that is known (k-center greedy:
    Sener and Savarese 2018, arXiv:1708.00489)."""
    points = _unit(doubts.represented[candidates])
    nearest = (points @ _unit(doubts.known).T).max(axis=1)  # the cosine with the most similar state
    chosen = []
    for _ in range(min(count, len(candidates))):
        place = int(nearest.argmin())
        chosen.append(place)
        nearest = np.maximum(nearest, points @ points[place])
        nearest[place] = np.inf
    return np.asarray(candidates[chosen])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def run_seed(
    decisions: Sequence[Decision],
    seed: int,
    rules: Sequence[str],
    training: TrainingConfig,
    file: Path,
    sizes: tuple[int, int, int] = (1100, 220, 1000),
    model: HRMConfig | None = None,
) -> None:
    """Run a seed's missing trainings, and append each to the file; sizes: train, chosen, fresh."""
    pools = divide(decisions, sizes[0], sizes[2], seed)
    done = {line["rule"]: line for line in read_lines(file) if line["seed"] == seed}
    if BASE not in done:
        policy, line = _train(pools.train, pools.fresh, training, model)
        doubts = _ask(policy, pools)
        chosen = {rule: RULES[rule](doubts, sizes[1], np.random.default_rng(seed)).tolist() for rule in RULES}
        done[BASE] = {"seed": seed, "rule": BASE, **line, "chosen": chosen}
        _append(file, done[BASE])
    for rule in rules:
        if rule not in done:
            extra = [pools.pool[place] for place in done[BASE]["chosen"][rule]]
            _, line = _train([*pools.train, *extra], pools.fresh, training, model)
            _append(file, {"seed": seed, "rule": rule, **line})


def _train(
    train: Sequence[Decision], fresh: Sequence[Decision], training: TrainingConfig, model: HRMConfig | None
) -> tuple[HRMPolicy, dict[str, Any]]:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        run = ImitationTrainer(RESEARCH_ACTIONS, training, model).train(train, fresh, Path(scratch))
    return run.policy, {
        "train": len(train),
        "fresh": len(fresh),
        "epochs": training.epochs,
        "accuracy": run.epochs[-1].heldout_accuracy,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _ask(policy: HRMPolicy, pools: Pools) -> Doubts:
    states = [decision.state for decision in pools.pool]
    probabilities, represented = policy.answer(states, RESEARCH_ACTIONS)
    chosen = np.array([RESEARCH_ACTIONS.index(decision.action.name) for decision in pools.pool])
    return Doubts(
        probabilities,
        represented,
        policy.represent([decision.state for decision in pools.train]),
        probabilities.argmax(axis=1) != chosen,
    )


def _append(file: Path, line: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")
    print(f"  seed {line['seed']} {line['rule']:<12} {line['accuracy']:.2%} ({line['seconds']} s)", flush=True)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Return the finished trainings; a last line torn by a kill is left out."""
    lines = []
    for text in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


def summarise(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Return each rule's mean accuracy, and its lead over a random choice on the same seeds."""
    found: dict[str, dict[int, float]] = {}
    for line in lines:
        found.setdefault(line["rule"], {})[line["seed"]] = line["accuracy"]
    texts = []
    for rule, by_seed in found.items():
        text = f"{rule:<12} {np.mean(list(by_seed.values())):.2%} over seeds {sorted(by_seed)}"
        ahead = [value - found[RANDOM][seed] for seed, value in by_seed.items() if seed in found.get(RANDOM, {})]
        if rule != RANDOM and ahead:
            text += f"; ahead of random by {100 * np.mean(ahead):+.2f} points"
            if len(ahead) > 1:
                low, high = mean_interval(ahead)
                text += f" (95%: {100 * low:+.2f} to {100 * high:+.2f})"
        texts.append(text)
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--rules", default=f"{RANDOM},overruled,confidence", help=f"of {', '.join(RULES)}")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--file", type=Path, default=Path("dagger.jsonl"), help="continues this file if it exists")
    options = parser.parse_args()
    rules = options.rules.split(",")
    if unknown := sorted(set(rules) - set(RULES)):
        parser.error(f"--rules: unknown {', '.join(unknown)}; there are {', '.join(RULES)}")
    decisions = list(read_training_data(DATA, RESEARCH_ACTIONS).decisions)[:FIRST_RUN]
    for seed in map(int, options.seeds.split(",")):
        training = TrainingConfig(epochs=options.epochs, seed=seed, checkpoint_every_epochs=options.epochs)
        run_seed(decisions, seed, rules, training, options.file)
    for text in summarise(read_lines(options.file)):
        print(text)


if __name__ == "__main__":
    main()
