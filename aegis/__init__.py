"""AEGIS: an agent moves off a large language model onto a small Hierarchical Reasoning Model of its own.

`aegis.Decider` is the way in for an agent of your own; it is imported when it is first asked for. `aegis.Client` is the
same for a decision point that `aegis serve` serves elsewhere.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_DOOR = ("Decided", "Decider", "DeciderConfig")


def __getattr__(name: str) -> Any:
    if name in _DOOR:
        return getattr(import_module("aegis.door"), name)
    if name == "Client":
        return import_module("aegis.client").Client
    raise AttributeError(f"module 'aegis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_DOOR, "Client"])
