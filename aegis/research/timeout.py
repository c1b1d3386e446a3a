"""Time limits for calls that may hang: each runs in its own thread, and only a few may hang at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from aegis.errors import ActionError

_Result = TypeVar("_Result")


class TimeLimiter:
    """Calls functions, each with a time limit, and abandons calls that hang.

    A thread can't be ended from outside. So a hanging call is left in a daemon thread, which keeps no process alive,
    and its result, should it come, is dropped. While `most_hanging` calls hang, further calls fail at once.
    """

    def __init__(self, most_hanging: int = 4) -> None:
        self._most = most_hanging
        self._free = threading.Semaphore(most_hanging)

    def call(self, function: Callable[..., _Result], *arguments: Any, timeout_seconds: float) -> _Result:
        """Return what the function returns, or raise what it raises.

        Raises `ActionError` if that takes too long, or if too many earlier calls still hang.
        """
        if not self._free.acquire(blocking=False):
            raise ActionError(f"{self._most} earlier calls still hang: no further call is started")
        results: list[_Result] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(function(*arguments))
            except BaseException as error:
                errors.append(error)
            finally:
                self._free.release()

        thread = threading.Thread(target=run, name="aegis-limited", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._free.release()
            raise ActionError(f"no thread can be started: {error}") from error
        thread.join(timeout_seconds)
        if errors:
            raise errors[0]
        if not results:
            raise ActionError(f"no result within {timeout_seconds:g} s")
        return results[0]
