"""Reads fields of a state as codes: a number by its place among the training's numbers, a short value as itself.

A code is a token id past the vocabulary. It stands for a weighted sum of rows of the token table, so the model has no
further parameters. A number's code adds up the rows of all quantile bins below the number, and a part of its own bin's
row: the piecewise-linear encoding of Gorishniy et al. 2022 (arXiv:2203.05556, section 3.2). The other rows of the sum,
like those of n-grams, belong to tokens that are hardly ever read.

A state has a slot for each field that is read so, always in the same order. `aegis.training.data.coding` fits the
codes.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegis.errors import ConfigError
from aegis.hrm.vocabulary import END_OF_TEXT_ID, VOCABULARY_SIZE
from aegis.rendering import canonical_json
from aegis.types import State

LEVELS = 8
"""Steps within a bin. A number is read to a step, so that its code is one of a few."""
LARGEST_CODE = 2**16 - 1
"""A dataset stores ids in 16 bits"""
EMPTY = VOCABULARY_SIZE
"""The code of a slot without a value: a sum of no rows"""
_FORM = 1
_DROPPED = object()


@dataclass(frozen=True, slots=True)
class CodeTable:
    """The rows that each code adds up, from code `EMPTY` on."""

    rows: NDArray[np.int64]
    """(codes, R): rows of the token table"""
    weights: NDArray[np.float32]
    """(codes, R); 0 where a code has fewer rows"""
    slots: int
    """Codes of each state, which follow its first token"""


@dataclass(frozen=True)
class FieldCodes:
    """How the fields of a state become codes."""

    numbers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Bounds of each number's bins, rising, by the field's dotted path; an item of a list has its place as a step"""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Known values of each other field by its path, as canonical JSON"""
    written: bool = False
    """Whether a number that has a code is read as text, too"""
    multiple: int = 3
    """The number of slots is divisible by this, the model's `patch_length`"""
    form: int = _FORM

    def __post_init__(self) -> None:
        if self.form != _FORM:
            raise ConfigError(f"fields are read by form {self.form}, which this AEGIS does not know: update it")
        object.__setattr__(self, "numbers", {path: tuple(map(float, at)) for path, at in self.numbers.items()})
        object.__setattr__(self, "values", {path: tuple(map(str, known)) for path, known in self.values.items()})
        for path, bounds in self.numbers.items():
            if len(bounds) < 2 or any(not one < other for one, other in pairwise(bounds)):
                raise ConfigError(f"the bins of {path!r} need at least two bounds that rise, not {bounds}")
        if self.multiple < 1 or self.count > LARGEST_CODE - VOCABULARY_SIZE:
            raise ConfigError(f"fields have {self.count:,} codes, with slots in steps of {self.multiple}: too many")

    @cached_property
    def count(self) -> int:
        """Number of codes."""
        numbers = sum(_levels(bounds) for bounds in self.numbers.values())
        return 1 + numbers + sum(1 + len(known) for known in self.values.values())

    @cached_property
    def slots(self) -> int:
        """Number of codes of each state."""
        fields = len(self.numbers) + len(self.values)
        return -(-fields // self.multiple) * self.multiple

    @cached_property
    def _starts(self) -> dict[str, int]:
        """Return the first code of each field, by its path."""
        starts, code = {}, EMPTY + 1
        for path, bounds in self.numbers.items():
            starts[path] = code
            code += _levels(bounds)
        for path, known in self.values.items():
            starts[path] = code
            code += 1 + len(known)
        return starts

    @cached_property
    def _places(self) -> dict[str, dict[str, int]]:
        """Return the place of each known value, from 1; 0 is for any other."""
        return {path: {value: place for place, value in enumerate(known, 1)} for path, known in self.values.items()}

    def read(self, state: State) -> tuple[list[int], State]:
        """Return the state's codes, and the state that is left to be read as text."""
        found = dict(leaves(state))
        codes, coded = [], set()
        for path, bounds in self.numbers.items():
            number = as_number(found.get(path))
            if number is None:
                codes.append(EMPTY)
                continue
            codes.append(self._starts[path] + _level(number, bounds))
            coded.add(path)
        for path, places in self._places.items():
            value = canonical_json(found[path]) if path in found else None
            codes.append(EMPTY if value is None else self._starts[path] + places.get(value, 0))
        codes += [EMPTY] * (self.slots - len(codes))
        return codes, state if self.written or not coded else _without(state, coded)

    @cached_property
    def table(self) -> CodeTable:
        """The rows and weights of all codes."""
        width = 1 + max((len(bounds) - 1 for bounds in self.numbers.values()), default=0)
        rows = np.full((self.count, width), END_OF_TEXT_ID, dtype=np.int64)  # every state has this token
        weights = np.zeros((self.count, width), dtype=np.float32)
        taken: set[int] = {END_OF_TEXT_ID}
        for path, bounds in self.numbers.items():
            bins = len(bounds) - 1
            steps = np.arange(_levels(bounds))[:, None] / LEVELS
            part = slice(self._starts[path] - EMPTY, self._starts[path] - EMPTY + len(steps))
            own = [_free_row(f"{path}\n{number}", taken) for number in range(bins + 1)]
            rows[part] = own[0]  # where the weight is 0
            rows[part, : bins + 1] = own
            weights[part, 0] = 1.0
            weights[part, 1 : bins + 1] = np.clip(steps - np.arange(bins), 0, 1)
        for path, known in self.values.items():
            for place, value in enumerate(["", *known], self._starts[path] - EMPTY):
                rows[place] = _free_row(f"{path}={value}", taken)
                weights[place, 0] = 1.0
        return CodeTable(rows, weights, self.slots)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of each number, flag, null and string in a state."""
    if isinstance(value, Mapping):
        steps = value.items()
    elif isinstance(value, (list, tuple)):
        steps = {str(place): item for place, item in enumerate(value)}.items()
    else:
        yield path, value
        return
    for step, inner in steps:
        yield from leaves(inner, f"{path}.{step}" if path else str(step))


def as_number(value: Any) -> float | None:
    """Return a number as a float; None for anything else, and for an integer too large for a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _levels(bounds: tuple[float, ...]) -> int:
    return (len(bounds) - 1) * LEVELS + 1


def _level(number: float, bounds: tuple[float, ...]) -> int:
    """Return the step at which a number stands; one outside the bins stands at their end."""
    if not number > bounds[0]:
        return 0
    if number >= bounds[-1]:
        return _levels(bounds) - 1
    place = bisect_right(bounds, number) - 1
    share = (number - bounds[place]) / (bounds[place + 1] - bounds[place])
    return place * LEVELS + round(share * LEVELS)


def _free_row(name: str, taken: set[int]) -> int:
    """Return a row that no other code has, chosen by a hash among the rarer half of the vocabulary's tokens."""
    half = VOCABULARY_SIZE // 2
    place = int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
    row = half + place % half
    while row in taken:
        row = half + (row + 1 - half) % half
    taken.add(row)
    return row


def _without(value: Any, paths: set[str]) -> Any:
    kept = _drop(value, "", paths)
    return {} if kept is _DROPPED else kept


def _drop(value: Any, path: str, paths: set[str]) -> Any:
    """Return a copy without the values at these paths, and without what then holds nothing."""
    if isinstance(value, Mapping):
        kept = {key: _drop(inner, f"{path}.{key}" if path else str(key), paths) for key, inner in value.items()}
        kept = {key: inner for key, inner in kept.items() if inner is not _DROPPED}
        return kept if kept or not value else _DROPPED
    if isinstance(value, (list, tuple)):
        items = [_drop(item, f"{path}.{place}" if path else str(place), paths) for place, item in enumerate(value)]
        items = [item for item in items if item is not _DROPPED]
        return items if items or not value else _DROPPED
    return _DROPPED if path in paths else value
