"""Decisions by numbers: two noisy rules, drawn by a seed, and handwritten digits, which scikit-learn brings along."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.decisions.problem import Logged

EPISODE = 10
"""Decisions of an episode; the decisions of one do not resemble each other here."""
_ACTIONS = ("hold", "raise", "lower", "stop")
_WORDS = ("north", "south", "east", "west", "amber", "blue", "green", "red")


def read_controller(count: int, seed: int = 0) -> Iterator[Logged]:
    """Yield the decisions of a controller, by a noisy rule over eight numbers of different scales."""
    random = np.random.default_rng(seed)
    for number in range(count):
        level, drift = random.uniform(-2, 2), random.normal()
        pressure, flow = random.lognormal(3, 1), random.gamma(2, 10)
        valves, hours = int(random.integers(0, 9)), float(random.uniform(0, 24))
        heat, spare = random.normal(350, 40), random.uniform(0, 1)
        scores = np.array(
            [
                1.2 - 1.5 * abs(level),
                1.8 * -level + 0.8 * (drift < 0) + 0.6 * (valves > 5),
                1.8 * level + 0.8 * (drift > 0) + 0.8 * (6 < hours < 18),
                3.0 * (pressure > 45) + 2.0 * (heat > 390) - 1.0 * (flow > 20),
            ]
        )
        state = {
            "level": round(level, 3),
            "drift": round(drift, 3),
            "pressure": round(pressure, 2),
            "flow": round(flow, 2),
            "valves_open": valves,
            "hour": round(hours, 2),
            "temperature": round(heat, 1),
            "reserve": round(spare, 3),
        }
        yield _logged(number, state, scores, random)


def read_mixed(count: int, seed: int = 0) -> Iterator[Logged]:
    """Yield decisions by a noisy rule over twelve numbers and eight words; four of each do not matter."""
    random = np.random.default_rng(seed)
    for number in range(count):
        numbers = random.normal(size=12) * 10.0 ** np.arange(-2, 4).repeat(2)
        words = random.choice(_WORDS, size=8)
        scaled = numbers / 10.0 ** np.arange(-2, 4).repeat(2)
        north = 1.0 if words[0] == "north" else -1.0
        scores = np.array(
            [
                1.0 + scaled[0] - scaled[1],
                north * scaled[2] * 1.5 + scaled[3],
                1.5 * (scaled[4] > 0) * (words[1] in _WORDS[:4]) + 1.5 * (words[2] == words[3]),
                1.5 * abs(scaled[5]) - 0.5 * (scaled[6] ** 2 < 1) + (words[3] in ("red", "blue")) + 0.5 * scaled[7],
            ]
        )
        state: dict[str, Any] = {f"reading_{place}": float(f"{value:.4g}") for place, value in enumerate(numbers)}
        state["labels"] = {f"kind_{place}": str(word) for place, word in enumerate(words)}
        yield _logged(number, state, scores, random)


def read_digits() -> Iterator[Logged]:
    """Yield the digit that each of 1,797 pictures of 8 x 8 numbers shows; ten pictures are an episode."""
    from sklearn.datasets import load_digits

    found = load_digits()
    for number, (picture, digit) in enumerate(zip(found.data.astype(int).tolist(), found.target, strict=True)):
        state = {"pixels": {f"r{place // 8}c{place % 8}": value for place, value in enumerate(picture)}}
        yield Logged(f"pictures {number // EPISODE}", number % EPISODE, state, f"digit {digit}")


def _logged(number: int, state: dict[str, Any], scores: Any, random: np.random.Generator) -> Logged:
    """Return a decision with the action of the best score, after noise of Gumbel's distribution."""
    noisy = scores + 0.3 * random.gumbel(size=len(scores))
    return Logged(f"episode {number // EPISODE}", number % EPISODE, state, _ACTIONS[int(noisy.argmax())])
