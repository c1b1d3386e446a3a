"""Generated tasks whose answers need depth: mazes, pointer chasing, Sudoku.

Every instance is a row of tokens, with the start token at position 0 and an answer at every position that needs one.
Answers far from the givens need many steps in a row, whatever the width of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.reasoning import sudoku

Ints = NDArray[np.int64]

START = 0
"""The special token at position 0; a task's own symbols start at 1."""
IGNORED = -100
"""The class of a position that needs no answer."""
WALL, FREE, SOURCE = 1, 2, 3
"""The symbols of a maze."""
WALL_SHARE = 0.35
LISTS = 3
"""Linked lists in an instance of pointer chasing."""


@dataclass(frozen=True, slots=True)
class Instances:
    """Some instances of a task."""

    tokens: Ints
    """(B, T) symbols"""
    answers: Ints
    """(B, T) classes, or `IGNORED`"""
    depths: Ints
    """(B, T) steps from the givens to the answer; -1 if unknown or not asked for"""

    def __len__(self) -> int:
        return len(self.tokens)

    def select(self, rows: Ints | NDArray[np.bool_]) -> Instances:
        """Return some of the instances."""
        return Instances(self.tokens[rows], self.answers[rows], self.depths[rows])


@dataclass(frozen=True, slots=True)
class Task:
    """A task of one size."""

    name: str
    size: int
    length: int
    """T: positions, including the start token"""
    symbols: int
    """ids in the input, including the start token"""
    classes: int
    far: int
    """an answer of this depth or above counts as far"""
    generate: Callable[[int, np.random.Generator], Instances]


def with_start(tokens: Ints, answers: Ints, depths: Ints) -> Instances:
    """Put the start token before each row."""

    def before(value: int, rows: Ints) -> Ints:
        return np.concatenate([np.full((len(rows), 1), value), rows], axis=1)

    return Instances(before(START, tokens), before(IGNORED, answers), before(-1, depths))


def distances(free: NDArray[np.bool_], sources: Ints) -> Ints:
    """Return each cell's steps from the source, -1 if there is no way. free: (B, n, n). sources: (B,) flat cells."""
    reached = np.full(free.shape, -1)
    reached.reshape(len(free), -1)[np.arange(len(free)), sources] = 0
    for step in range(1, free[0].size):
        last = reached == step - 1
        near = np.zeros_like(last)
        near[:, 1:] |= last[:, :-1]
        near[:, :-1] |= last[:, 1:]
        near[:, :, 1:] |= last[:, :, :-1]
        near[:, :, :-1] |= last[:, :, 1:]
        new = near & free & (reached < 0)
        if not new.any():
            break
        reached[new] = step
    return reached


def maze(size: int, count: int, generator: np.random.Generator) -> Instances:
    """Answer for each free cell the length of the shortest way from the source, or that there is none.

    Walls are drawn independently. A maze is kept if its farthest cell is more than `size` and at most 3 times `size`
    away.
    """
    kept: list[Instances] = []
    while sum(map(len, kept)) < count:
        free = generator.random((4096, size, size)) >= WALL_SHARE
        flat = free.reshape(len(free), -1)
        sources = np.argmax(np.where(flat, generator.random(flat.shape), -1.0), axis=1)
        reached = distances(free, sources).reshape(len(free), -1)  # (B, n * n)
        tokens = np.where(flat, FREE, WALL)
        tokens[np.arange(len(tokens)), sources] = SOURCE
        answers = np.where(reached >= 0, reached, 3 * size + 1)
        made = with_start(tokens, np.where(flat, answers, IGNORED), reached)
        farthest = reached.max(axis=1)
        kept.append(made.select((farthest > size) & (farthest <= 3 * size)))
    return joined(kept, count)


def pointers(size: int, count: int, generator: np.random.Generator) -> Instances:
    """Answer for each node the end of its linked list: position i holds the node that node i points to.

    The nodes lie in three lists of random lengths; the end of a list points to itself. A node's depth is its hops.
    """
    order = generator.permuted(np.tile(np.arange(size), (count, 1)), axis=1)  # (B, n) nodes, list after list
    scores = generator.random((count, size - 1))
    cuts = np.sort(np.argsort(scores, axis=1)[:, : LISTS - 1], axis=1)  # (B, 2) places that end a list
    ends = np.concatenate([cuts, np.full((count, 1), size - 1)], axis=1)
    places = np.arange(size)
    # For each place, the place where its list ends: the first end at or after it.
    end_of = np.take_along_axis(ends, (ends[:, None, :] < places[None, :, None]).sum(axis=2), axis=1)
    following = np.minimum(places + 1, end_of)

    def by_node(values: Ints) -> Ints:
        result = np.empty_like(values)
        np.put_along_axis(result, order, values, axis=1)
        return result

    targets = by_node(np.take_along_axis(order, following, axis=1))
    answers = by_node(np.take_along_axis(order, end_of, axis=1))
    return with_start(targets + 1, answers, by_node(end_of - places))


def sudoku_grids(size: int, count: int, generator: np.random.Generator) -> Instances:
    """Answer each empty cell of a Sudoku with a single solution. Tokens: 1 for an empty cell, digit + 2 for a given."""
    givens, solutions = sudoku.puzzles(size, count, generator)
    answers = np.where(givens < 0, solutions, IGNORED)
    return with_start(givens + 2, answers, np.full_like(givens, -1))


def joined(parts: list[Instances], count: int) -> Instances:
    """Return the first `count` instances of the parts."""
    return Instances(
        *(np.concatenate([getattr(part, name) for part in parts])[:count] for name in ("tokens", "answers", "depths"))
    )


def task(name: str, size: int) -> Task:
    """Return a task of a size: a maze's or Sudoku's side, or the number of nodes."""
    if name == "maze":
        return Task(name, size, size**2 + 1, 4, 3 * size + 2, size, lambda n, g: maze(size, n, g))
    if name == "pointers":
        return Task(name, size, size + 1, size + 1, size, size // 2, lambda n, g: pointers(size, n, g))
    if name == "sudoku":
        return Task(name, size, size**2 + 1, size + 2, size, 0, lambda n, g: sudoku_grids(size, n, g))
    raise ValueError(f"no task named {name!r}: choose maze, pointers or sudoku")


@lru_cache(maxsize=2)
def train_and_test(name: str, size: int, train_count: int, test_count: int) -> tuple[Instances, Instances]:
    """Return instances to train on and to judge by, from generators of different seeds.

    Test instances that occur in training, or twice, are left out, so a few less than `test_count` may come back.
    """
    chosen = task(name, size)
    train = chosen.generate(train_count, np.random.default_rng([1, size]))
    test = chosen.generate(test_count, np.random.default_rng([2, size]))
    seen = {row.tobytes() for row in train.tokens}
    fresh = []
    for row in test.tokens:
        fresh.append(row.tobytes() not in seen)
        seen.add(row.tobytes())
    return train, test.select(np.array(fresh))
