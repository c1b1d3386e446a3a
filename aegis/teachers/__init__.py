"""Teachers: language models that decide until the HRM does."""

from aegis.teachers.causal_lm import CausalLMTeacher
from aegis.teachers.loading import GPT2_HUB_ID, OFFLINE_TEACHER, load_teacher, loadable_name

__all__ = ["GPT2_HUB_ID", "OFFLINE_TEACHER", "CausalLMTeacher", "load_teacher", "loadable_name"]
