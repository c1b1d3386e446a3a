"""A tiny GPT-2 made on the spot, with its own byte-level BPE: no test here needs a hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from aegis.teachers import loading
from aegis.types import ActionList, ActionSpec

WINDOW_TOKENS = 512


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread: small tensors gain nothing from more, and a busy machine slows them down badly."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load every teacher in float32, so that results can be compared closely."""
    monkeypatch.setattr(loading, "_fastest_dtype", lambda device: torch.float32)


@pytest.fixture(scope="session")
def actions() -> ActionList:
    """Return actions whose words are one, three and many tokens long."""
    return ActionList(
        (
            ActionSpec("web_search", "search", "look it up."),
            ActionSpec("ask_human", "ask the human", "ask a person."),
            ActionSpec("propose", "propose better", "say how to do better."),
            ActionSpec("idle", "idle", "do nothing."),
        )
    )


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from transformers import PreTrainedTokenizerFast  # takes seconds: not in every test process

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False
    )
    bpe.train_from_iterator([" search ask idle the agent human situation action"] * 5, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<|endoftext|>", eos_token="<|endoftext|>")


@pytest.fixture(scope="session")
def gpt2_folder(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny random GPT-2, as `save_pretrained` leaves it."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=WINDOW_TOKENS,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.3,  # so that its answers depend on its input
    )
    folder = tmp_path_factory.mktemp("teachers") / "tiny-gpt2"
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
