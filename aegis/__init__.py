"""AEGIS: an agent moves off a large language model onto a small Hierarchical Reasoning Model of its own.

`aegis.Decider` is the way in for an agent of your own, `aegis.observe` for one whose code is to stay as it is.
`aegis.Client` is a `Decider` for a decision point that `aegis serve` serves elsewhere. `aegis.load_export` reads what
`aegis export --onnx` wrote. All are imported when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_DOOR = ("Decided", "Decider", "DeciderConfig", "Savings", "observe", "observe_openai")
_ROOMS = ("config", "envs", "errors")
_OTHERS = {"Client": "aegis.client", "RunEvent": "aegis.lifecycle.event", "load_export": "aegis.lifecycle.exported"}

if TYPE_CHECKING:
    from aegis import config as config
    from aegis import envs as envs
    from aegis import errors as errors
    from aegis.client import Client as Client
    from aegis.door import Decided as Decided
    from aegis.door import Decider as Decider
    from aegis.door import DeciderConfig as DeciderConfig
    from aegis.door import Savings as Savings
    from aegis.door import observe as observe
    from aegis.door import observe_openai as observe_openai
    from aegis.lifecycle.event import RunEvent as RunEvent
    from aegis.lifecycle.exported import load_export as load_export
else:  # a type checker that saw this would take every name of aegis for anything

    def __getattr__(name: str) -> Any:
        if name in _DOOR:
            return getattr(import_module("aegis.door"), name)
        if name in _ROOMS:
            return import_module(f"aegis.{name}")
        if name in _OTHERS:
            return getattr(import_module(_OTHERS[name]), name)
        raise AttributeError(f"module 'aegis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_DOOR, *_ROOMS, *_OTHERS])
