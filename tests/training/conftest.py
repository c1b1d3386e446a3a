"""Decisions that an HRM can learn: the action follows from one word of the state."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from aegis.config import HRMConfig
from aegis.types import Action, ActionList, ActionSpec, Decision


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread: small tensors gain nothing from more threads, which a busy machine slows down badly."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def actions() -> ActionList:
    return ActionList(
        (
            ActionSpec("web_search", "search", "look it up", argument="query"),
            ActionSpec("ask_human", "ask", "ask a person"),
            ActionSpec("idle", "idle", "do nothing"),
        )
    )


@pytest.fixture(scope="session")
def tiny_config() -> HRMConfig:
    """Return a small model's configuration; its vocabulary is GPT-2's, like the codec's."""
    return HRMConfig(
        max_positions=64,
        high_width=16,
        high_layers=1,
        high_heads=2,
        low_width=8,
        low_layers=1,
        low_heads=2,
        max_segments=2,
        dropout=0.1,
    )


@pytest.fixture(scope="session")
def make_decision(actions: ActionList) -> Callable[..., Decision]:
    def make(number: int = 0, place: int = 0, **fields: Any) -> Decision:
        word = ("question", "person", "nothing")[place]
        noise = random.Random(number).choices(["red", "green", "blue", "old", "new"], k=3)
        given: dict[str, Any] = {
            "episode": f"episode {number // 10}",
            "step": number % 10,
            "state": {"about": word, "noise": noise, "number": number},
            "actions": actions.names,
            "action": Action(actions.names[place]),
            "probabilities": tuple(0.8 if n == place else 0.1 for n in range(3)),
            "policy": "teacher",
            "id": f"{number:032x}",
        }
        return Decision(**(given | fields))

    return make


@pytest.fixture(scope="session")
def learnable(make_decision: Callable[..., Decision]) -> tuple[list[Decision], list[Decision]]:
    """Return 60 decisions to train on and 20 to judge by."""
    decisions = [make_decision(number, random.Random(-number - 1).randrange(3)) for number in range(80)]
    return decisions[:60], decisions[60:]
