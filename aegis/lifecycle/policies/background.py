"""Versions of the HRM loaded in a thread of their own, so that no decision waits for the switch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from aegis.promotion import Serving
from aegis.types import Policy

_RETRY_SECONDS = 30.0
_CLOSE_SECONDS = 10.0


class BackgroundLoad:
    """Keeps the version that was loaded last. load: loads a version; called in the thread."""

    def __init__(self, load: Callable[[Serving], Policy]) -> None:
        self._load = load
        self._thread: threading.Thread | None = None
        self._name: str | None = None
        self._policy: Policy | None = None
        self._failed_at = 0.0
        self._failure: Exception | None = None
        self.ended = 0
        """How many loads have ended, by success or failure"""

    def loaded(self, serving: Serving) -> Policy | None:
        """Return this version once it is loaded; the first call starts to load it."""
        if self._name == serving.name:
            return self._policy
        waits = self._failed_at and time.monotonic() - self._failed_at < _RETRY_SECONDS
        if self._thread is None and not waits:
            self._thread = threading.Thread(target=self._run, args=(serving,), name="loading", daemon=True)
            self._thread.start()
        return None

    def load_now(self, serving: Serving, load: Callable[[Serving], Policy]) -> Policy:
        """Return this version; load it in the calling thread where it is not loaded yet."""
        if self._name != serving.name or self._policy is None:
            self._policy, self._name = load(serving), serving.name
        return self._policy

    def forget(self) -> None:
        """Forget the version that was loaded last."""
        self._name = self._policy = None

    def take_failure(self) -> Exception | None:
        """Return once why loading failed; None where it did not."""
        failure, self._failure = self._failure, None
        return failure

    def close(self) -> None:
        """Wait for a version that is being loaded: a process that ends within torch's code is aborted."""
        thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_SECONDS)

    def _run(self, serving: Serving) -> None:
        try:
            self._policy = self._load(serving)
            self._name = serving.name
        except Exception as error:  # whatever the error is, the present policy continues to decide
            self._failure, self._failed_at = error, time.monotonic()
        finally:
            self._thread = None
            self.ended += 1
