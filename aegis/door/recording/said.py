"""What the HRM said of the states that it was asked about, for decisions that somebody else then makes.

Where the teacher decides elsewhere, an HRM hands a state over at once, and the teacher's decision is recorded when it
comes. Without this nobody would count that the state was out of distribution.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import NamedTuple

from aegis.rendering import canonical_json
from aegis.types import Choice, Deferral, State

MOST = 4096
"""States that are remembered; of more, those that were asked about last"""


class _Said(NamedTuple):
    out_of_distribution: bool | None
    deferred: Deferral


class SaidBook:
    """Remembers what the HRM said of each state last. Any thread may call it."""

    def __init__(self) -> None:
        self._said: OrderedDict[bytes, _Said] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, state: State, choice: Choice) -> None:
        """Remember the HRM's choice in a state, also one that it leaves to its teacher (`deferred`)."""
        key = _key(state)
        with self._lock:
            self._said[key] = _Said(choice.out_of_distribution, choice.deferred)
            self._said.move_to_end(key)
            if len(self._said) > MOST:
                self._said.popitem(last=False)

    def mark(self, state: State, choice: Choice) -> Choice:
        """Return the teacher's choice with what the HRM said of the state; as it is where the HRM was not asked."""
        with self._lock:
            said = self._said.get(_key(state))
        if said is None:
            return choice
        return replace(choice, out_of_distribution=said.out_of_distribution, deferred=said.deferred)


def _key(state: State) -> bytes:
    return hashlib.blake2b(canonical_json(state).encode(), digest_size=16).digest()
