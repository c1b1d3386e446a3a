"""GPT-2's architecture with random weights, for timing: the arithmetic is the same for any weights."""

from __future__ import annotations

import time
from typing import Any

from aegis.teachers.causal_lm import CausalLMTeacher


class _Tokenizer:
    """The tokenizer's methods that a teacher uses, from a `tiktoken` encoding."""

    def __init__(self, encoding: Any) -> None:
        self._encoding = encoding
        self.bos_token_id = int(encoding.eot_token)

    def __call__(self, text: str, add_special_tokens: bool = False) -> dict[str, list[int]]:
        return {"input_ids": self._encoding.encode_ordinary(text)}


def untrained_gpt2(encoding: Any, dtype: str = "float32") -> CausalLMTeacher:
    """Return GPT-2 (124,439,808 parameters) as a teacher with random weights; encoding: its `tiktoken` encoding."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config())
    return CausalLMTeacher(model.to(getattr(torch, dtype)), _Tokenizer(encoding), f"gpt2-{dtype}", "random weights")


def time_product(dtype: str, threads: int, repeats: int = 3) -> float:
    """Return the least seconds of a matrix product from GPT-2's layers: 48 tokens, one layer's widening.

    A number format that the processor lacks is found here: torch emulates it, and the whole model would take minutes.
    """
    import torch

    torch.set_num_threads(threads)
    kind = getattr(torch, dtype)
    inputs, weights, bias = (torch.ones(shape, dtype=kind) for shape in ((48, 768), (768, 3072), (3072,)))
    taken = []
    with torch.inference_mode():
        for _ in range(repeats):
            started = time.perf_counter()
            torch.addmm(bias, inputs, weights)
            taken.append(time.perf_counter() - started)
    return min(taken)
