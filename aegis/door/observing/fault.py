"""What went wrong beside an observed function: counted by kind, logged once for each kind, never raised."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter

from aegis.rendering import clean_text

LOGGER = logging.getLogger("aegis")
_CHARACTERS = 500


class FaultBook:
    """The faults of one observer. Any thread may call it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def note(self, kind: str, error: BaseException | str, times: int = 1) -> None:
        """Count a fault, and log the first one of its kind."""
        with self._lock:
            first = kind not in self._counts
            self._counts[kind] += times
        if first:
            text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
            with contextlib.suppress(Exception):  # a handler of the owner's may raise
                LOGGER.warning("%s, observed: %s: %s", self._name, kind, clean_text(text, _CHARACTERS))

    @property
    def counts(self) -> dict[str, int]:
        """How often each kind came."""
        with self._lock:
            return dict(self._counts)
