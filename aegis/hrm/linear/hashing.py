"""Features as 64-bit keys, so that no word of a state stands in a model's file."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aegis.rendering import state_fields, state_words
from aegis.types import State

_MOST_KEPT = 65_536
_FARTHEST = 1e6
"""A value that is this many times the largest in training counts as this one: a sum stays a number"""


@lru_cache(_MOST_KEPT)
def word_key(word: str) -> int:
    """Return the key of a word."""
    return _key("word", word)


@lru_cache(_MOST_KEPT)
def field_key(name: str) -> int:
    """Return the key of a number's field, or of a text field with its text: `name=text`."""
    return _key("field", name)


def _key(kind: str, name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{kind}\0{name}".encode(errors="replace"), digest_size=8).digest(), "little")


def read_state(state: State) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """Return a state's features: the keys (n,) and the values (n,)."""
    keys, values = [], []
    for word in sorted(state_words(state)):
        keys.append(word_key(word))
        values.append(1.0)
    for name, value in state_fields(state).items():
        text = isinstance(value, str)
        keys.append(field_key(f"{name}={value}" if text else name))
        values.append(1.0 if text else float(value))
    return np.array(keys, dtype=np.uint64), np.array(values)


def scale(values: NDArray[np.float64], scales: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return values in units of the largest in training."""
    return np.clip(np.nan_to_num(values / scales), -_FARTHEST, _FARTHEST)
