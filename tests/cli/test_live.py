"""The live screen shows what happens, and takes text from the world as text."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from aegis.cli.live import LiveScreen
from aegis.lifecycle import RunEvent, open_store
from aegis.types import Action, Decision
from aegis.workspace import Workspace


@pytest.fixture
def screen(tmp_path):
    workspace = Workspace(tmp_path / "w")
    with open_store(workspace) as store:
        store.claim_teacher("gpt2", 124_439_808, "hub")
        for step in range(3):
            store.append(Decision("e", step, {}, ("idle", "x"), Action("idle"), None, "gpt2"))
    return LiveScreen(workspace, collect=1100)


def drawn(screen):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(screen.draw())
    return console.export_text()


def decided(message, reward=None, status="ok", action="web_search"):
    fields = {"policy": "gpt2", "action": action, "status": status, "reward": reward}
    return RunEvent("decided", message, fields)


def test_it_shows_phase_progress_shares_decisions_epochs_and_rewards(screen):
    assert "getting ready" in drawn(screen)
    screen.add(decided("web_search What is WAL?: 2 new", 2.0))
    screen.add(decided("idle: did nothing", -0.1, action="idle"))
    screen.add(RunEvent("training_started", "training 1 on 1100 decisions"))
    screen.add(RunEvent("epoch", "epoch 1/20: loss 1.2585, held-out accuracy 69.09%"))
    screen.refresh(at_once=True)
    shown = drawn(screen)
    for words in (
        "Phase 1: Data Collection (Bootstrap from gpt2)",
        "3/1100",
        "web_search 50%, idle 50%",
        "What is WAL?",
        "+2.0",
        "training 1 on 1100 decisions",
        "epoch 1/20: loss 1.2585",
        "Mean reward of the last 2: +0.95",
        "RL updates: 0",
        "Ctrl-C pauses",
    ):
        assert words in shown


def test_markup_and_control_characters_of_the_world_are_not_obeyed(screen):
    screen.refresh(at_once=True)
    screen.add(decided("web_search [bold]\x1b[31m[/nonsense]: 0 new", status="failed"))
    screen.add(RunEvent("waiting", "[blink]\x07 teacher"))
    shown = drawn(screen)
    assert "[bold][31m[/nonsense]" in shown
    assert "[blink] teacher" in shown
    assert "\x1b" not in shown
