"""Teachers: language models that decide until the HRM does. A name is loaded when it is first asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aegis.teachers.causal_lm import CausalLMTeacher
    from aegis.teachers.loading import load_teacher
    from aegis.teachers.name import GPT2_HUB_ID, OFFLINE_TEACHER, check_available, loadable_name, recorded_name
    from aegis.teachers.openai_api import OpenAITeacher, at_address, load_openai, parse_prices
    from aegis.teachers.untrained import untrained_gpt2

_MODULES = {
    "causal_lm": ("CausalLMTeacher",),
    "loading": ("load_teacher",),
    "name": ("GPT2_HUB_ID", "OFFLINE_TEACHER", "check_available", "loadable_name", "recorded_name"),
    "openai_api": ("OpenAITeacher", "at_address", "load_openai", "parse_prices"),
    "untrained": ("untrained_gpt2",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "GPT2_HUB_ID",
    "OFFLINE_TEACHER",
    "CausalLMTeacher",
    "OpenAITeacher",
    "at_address",
    "check_available",
    "load_openai",
    "load_teacher",
    "loadable_name",
    "parse_prices",
    "recorded_name",
    "untrained_gpt2",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
