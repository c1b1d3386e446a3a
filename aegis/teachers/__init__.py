"""Teachers: language models that decide until the HRM does. A name is imported on first access."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.packages import on_demand

if TYPE_CHECKING:
    from aegis.teachers.causal_lm import CausalLMTeacher
    from aegis.teachers.loading import load_teacher
    from aegis.teachers.name import GPT2_HUB_ID, OFFLINE_TEACHER, check_available, loadable_name, recorded_name
    from aegis.teachers.openai_api import OpenAITeacher, at_address, load_openai, parse_prices
    from aegis.teachers.untrained import time_product, untrained_gpt2

_MODULES = {
    "causal_lm": ("CausalLMTeacher",),
    "loading": ("load_teacher",),
    "name": ("GPT2_HUB_ID", "OFFLINE_TEACHER", "check_available", "loadable_name", "recorded_name"),
    "openai_api": ("OpenAITeacher", "at_address", "load_openai", "parse_prices"),
    "untrained": ("time_product", "untrained_gpt2"),
}

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
    "time_product",
    "untrained_gpt2",
]

__getattr__ = on_demand(__name__, _MODULES, "a language model on this machine", "teachers")
