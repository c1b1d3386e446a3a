"""What the tokens mean, for a model that starts: words of like meaning begin side by side. It trains nothing."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from aegis.hrm.model import HRM

MEANINGS_PATH = Path(__file__).parent / "token_meanings.safetensors"
"""Principal components of all-MiniLM-L6-v2's embeddings of the tokens' texts (scripts/make_token_meanings.py)."""
MEANING_SHARE = 0.5
"""Of a row's squared length; the rest stays random, so that tokens of one meaning can be told apart."""


@functools.cache
def load_meanings() -> Tensor:
    """Return each token's meaning, (50257, 64), of length 1; the components are in falling order of variance."""
    tensors = load_file(MEANINGS_PATH)
    return torch.nn.functional.normalize(tensors["steps"] * tensors["scale"], dim=1)


@torch.no_grad()
def start_from_meanings(model: HRM) -> None:
    """Put the tokens' meanings into the first columns of a new model's token embedding, a quarter of them at most.

    The rows keep their mean length. A vocabulary that is not GPT-2's stays as it is.
    """
    weight = model.token_embedding.weight
    meanings = load_meanings()
    columns = min(meanings.shape[1], weight.shape[1] // 4)
    if len(weight) != len(meanings) or not columns:
        return
    length = weight.norm(dim=1).mean()
    kept = weight[:, columns:].norm(dim=1).mean()
    weight[:, :columns] = torch.nn.functional.normalize(meanings[:, :columns], dim=1) * length * MEANING_SHARE**0.5
    weight[:, columns:] *= length / kept * (1 - MEANING_SHARE) ** 0.5
