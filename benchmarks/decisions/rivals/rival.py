"""The interface of a rival: it learns from examples, and what it learned answers others."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegis.types import State
from benchmarks.decisions.measure import time_each
from benchmarks.decisions.parts import Example, make_example
from benchmarks.decisions.problem import Logged

Floats = NDArray[np.float64]
Setting = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Learned:
    """What a rival has learned."""

    answer: Callable[[Sequence[Example]], Floats]
    """Returns a probability for each action, (n, A)"""
    megabytes: float | None
    """Of the model; None: it learns again with each question, so neither its size nor its time can be told"""
    decide: Callable[[State], object] | None = None
    """Decides one raw state, where that takes another way than `answer`"""
    seconds: float | None = None
    """Of processor time to learn, where a part was kept from an earlier learning"""

    def milliseconds(self, examples: Sequence[Example], actions: Sequence[str]) -> float | None:
        """Return the processor time of one decision from a raw state, in the median of some states."""
        if self.megabytes is None:
            return None
        states = [example.given.state for example in examples[:_STATES]]
        decide = self.decide or (lambda state: self.answer([read_state(state, actions)]))
        return time_each(lambda number: decide(states[number % len(states)]))


@dataclass(frozen=True, slots=True)
class Rival:
    """A model to compare with."""

    title: str
    learn: Callable[..., Learned]
    """Takes the examples, the actions and the seed, and a setting's fields by name"""
    settings: Sequence[Setting] = field(default=({},))
    """What the search on the development part tries"""


_STATES = 30


def read_state(state: State, actions: Sequence[str]) -> Example:
    """Return a raw state in the forms that the rivals read."""
    return make_example(Logged("", 0, state, actions[0]), actions)


def soft_targets(examples: Sequence[Example], actions: Sequence[str]) -> Floats:
    """Return the teacher's probabilities (n, A); 1 for the action taken where they are not recorded."""
    targets = np.zeros((len(examples), len(actions)))
    places = {name: place for place, name in enumerate(actions)}
    for row, example in enumerate(examples):
        if example.given.probabilities is None:
            targets[row, places[example.action]] = 1.0
        else:
            targets[row] = example.given.probabilities
    return targets


def spread(found: Floats, classes: Sequence[int], actions: Sequence[str]) -> Floats:
    """Return probabilities of the classes of a training, given by place, in the order of all actions."""
    answers = np.zeros((len(found), len(actions)))
    answers[:, list(classes)] = found
    return answers


def megabytes_of(*parts: object) -> float:
    """Return the size of fitted parts when they are stored."""
    return len(pickle.dumps(parts)) / 1e6
