"""Teachers: language models that decide until the HRM does."""

from aegis.teachers.causal_lm import CausalLMTeacher
from aegis.teachers.loading import GPT2_HUB_ID, OFFLINE_TEACHER, load_teacher, loadable_name
from aegis.teachers.openai_api import OpenAITeacher, at_address, load_openai, parse_prices
from aegis.teachers.untrained import time_product, untrained_gpt2

__all__ = [
    "GPT2_HUB_ID",
    "OFFLINE_TEACHER",
    "CausalLMTeacher",
    "OpenAITeacher",
    "at_address",
    "load_openai",
    "load_teacher",
    "loadable_name",
    "parse_prices",
    "time_product",
    "untrained_gpt2",
]
