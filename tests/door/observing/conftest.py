"""A function that decides, a place to observe it in, and a point whose HRM has learned it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import aegis
from aegis.config import HRMConfig, TrainingConfig
from aegis.lifecycle import open_store
from aegis.workspace import Workspace
from tests.door.training_thread import trained_in_threads

ACTIONS = ["refund", "escalate", "answer"]
WORDS = {"refund": "broken money", "escalate": "angry lawyer", "answer": "how where"}
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
QUICK: dict[str, Any] = {
    "collect": 120,
    "model": TINY,
    "training": TrainingConfig(epochs=12, learning_rate=3e-3, checkpoint_every_epochs=12),
}


def route(ticket, tier="new"):
    """The rule that stands for a language model."""
    return next(name for name in ACTIONS if any(word in ticket for word in WORDS[name].split()))


def make_ticket(number):
    return f"{WORDS[ACTIONS[number % 3]]} order {number}"


@pytest.fixture
def ticket():
    return make_ticket


@pytest.fixture
def rule():
    return route


@pytest.fixture
def quick():
    return QUICK


@pytest.fixture
def observing(tmp_path):
    """Return what makes observers of the point `support-router` in the test's workspace; they are closed at its end."""
    made = []

    def make(name="support-router", actions=ACTIONS, **options):
        made.append(aegis.observe(name, actions, **{"workspace": tmp_path} | options))
        return made[-1]

    yield make
    for one in made:
        if one._observer is not None:
            one.close()


@pytest.fixture
def recorded(tmp_path):
    """Return the decisions of a point, in the order of recording."""

    def read(name="support-router"):
        with open_store(Workspace(tmp_path).point(name)) as store:
            return list(store.decisions())

    return read


@pytest.fixture(scope="session")
def learned_once(made_once):
    """A workspace in which `route` was observed until an HRM had learned it and answered silently."""

    def make(folder: Path) -> None:
        events = []
        observer = aegis.observe("support-router", ACTIONS, workspace=folder, notify=events.append, **QUICK)
        observed, number, until = observer(route), 0, time.monotonic() + 240
        while not any("certified" in event.message for event in events if event.kind == "savings"):
            assert time.monotonic() < until, [event.message for event in events]
            assert observed(make_ticket(number)) == ACTIONS[number % 3]
            number += 1
            if number > 130:
                time.sleep(0.02)
        assert observer.faults == {}
        observer.close()
        assert {"training_started", "training_ended", "savings"} <= {event.kind for event in events}

    with trained_in_threads():
        return made_once("observed", make)


@pytest.fixture
def learned(learned_once, tmp_path, copy_workspace):
    """A copy of that workspace."""
    copy_workspace(learned_once, tmp_path)
    return Workspace(tmp_path).point("support-router")
