"""Fits how the fields of states become codes, on training data alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from aegis.hrm import StateCodec
from aegis.hrm.reading.codes import FieldCodes, as_number, leaves
from aegis.rendering import canonical_json
from aegis.training.data.split import draw_rows
from aegis.types import Decision, State

BINS = 16
"""Most bins of a number"""
LEAST_NUMBERS = 3
"""Numbers are read as codes by themselves if at least so many fields fill all bins"""
LEAST_SHARE = 0.5
"""A field is read as a code if at least this share of the states has it"""
MOST_FITTED = 20_000
"""States that the bins are fitted on; of more, these are drawn evenly"""
MOST_VALUES, LONGEST_VALUE, LEAST_COUNT = 64, 60, 3
"""Of a field that is no number: most values, characters of the longest, and states in which a value must stand"""


def code_fields(
    codec: StateCodec,
    numbers: str,
    decisions: Iterable[Decision],
    rows: Sequence[int] | npt.NDArray[np.int64],
    multiple: int,
) -> StateCodec:
    """Return the codec that reads numbers as codes, with bins fitted on these rows of the decisions (in that order).

    numbers: as `TrainingConfig.numbers`; with `text`, or with `auto` and few numbers that need bins, the codec comes
    back as it is. multiple: the model's `patch_length`.
    """
    if numbers == "text" or codec.codes is not None or codec.version == 1:
        return codec
    states = (codec.select(one.state) for one in draw_rows(decisions, rows, MOST_FITTED))
    codes = fit_codes(states, (codec.max_tokens // 2) // multiple * multiple, multiple)
    if codes is None or (numbers == "auto" and not has_many_numbers(codes)):
        return codec
    return replace(codec, codes=codes)


def has_many_numbers(codes: FieldCodes) -> bool:
    """Tell whether at least `LEAST_NUMBERS` fields fill all bins."""
    return sum(len(bounds) == BINS + 1 for bounds in codes.numbers.values()) >= LEAST_NUMBERS


def fit_codes(states: Iterable[State], slots: int, multiple: int, values: bool = False) -> FieldCodes | None:
    """Return the codes of the fields that most of these states have; None if there is no such field.

    slots: the most fields that are read so, numbers first. values: whether short values other than numbers are, too.
    """
    numbers: dict[str, list[float]] = defaultdict(list)
    texts: dict[str, Counter[str]] = defaultdict(Counter)
    count = 0
    for state in states:
        count += 1
        for path, value in leaves(state):
            number = as_number(value)
            if number is not None:
                numbers[path].append(number)
            elif values:
                texts[path][canonical_json(value)] += 1
    bounds = {path: bin_bounds(found) for path, found in sorted(numbers.items()) if len(found) >= LEAST_SHARE * count}
    bounds = dict([(path, at) for path, at in bounds.items() if len(at) > 1][:slots])
    known = {path: _frequent(found) for path, found in sorted(texts.items()) if found.total() >= LEAST_SHARE * count}
    known = dict([(path, found) for path, found in known.items() if len(found) > 1][: max(0, slots - len(bounds))])
    return FieldCodes(bounds, known, multiple=multiple) if bounds or known else None


def bin_bounds(numbers: Sequence[float]) -> tuple[float, ...]:
    """Return the bounds of at most `BINS` bins with about as many of the numbers each."""
    found = np.unique(numbers)
    if len(found) > BINS + 1:
        found = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)))
    return tuple(found.tolist())


def _frequent(found: Counter[str]) -> tuple[str, ...]:
    """Return the values that several states have; none where the values are many or long."""
    if len(found) > MOST_VALUES or max(map(len, found)) > LONGEST_VALUE:
        return ()
    return tuple(sorted(value for value, times in found.items() if times >= LEAST_COUNT))
