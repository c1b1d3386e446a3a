"""Functions of tensors that run outside Python: threads that call them do not wait for each other's lock."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache, wraps
from threading import Lock
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])


def script(function: F) -> F:
    """Return the function as TorchScript, compiled at the first call; the function itself where torch has none.

    Two Python threads that call torch's operations one by one hand Python's lock to and fro some hundred times in a
    step of training. TorchScript takes the lock once a call. Torch calls it deprecated and has nothing in its place
    that needs no C++ compiler.
    """

    lock = Lock()

    @cache
    def compiled() -> Callable[..., Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                scripted: Callable[..., Any] = torch.jit.script(function)
            except (AttributeError, RuntimeError):  # a torch that no longer has it, or refuses this Python
                return function
        return scripted

    @wraps(function)
    def call(*arguments: Any) -> Any:
        with lock:
            chosen = compiled()
        return chosen(*arguments)

    return call  # type: ignore[return-value]
