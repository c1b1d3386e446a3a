"""The live screen shows events, and text from outside as plain text."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from rich.console import Console

from aegis.cli.display.screen import LiveScreen
from aegis.lifecycle import RunEvent, open_store
from aegis.research import Inbox
from aegis.types import Action, Decision, Outcome, utc_now
from aegis.workspace import Workspace


@pytest.fixture
def screen(tmp_path):
    workspace = Workspace(tmp_path / "w")
    with open_store(workspace) as store:
        store.claim_teacher("gpt2", 124_439_808, "hub")
        for step in range(3):
            store.append(Decision("e", step, {}, ("idle", "x"), Action("idle"), None, "gpt2"))
    return LiveScreen(workspace)


def drawn(screen, width=120, height=40):
    # This console does not wrap, like the commands' own.
    console = Console(width=width, height=height, record=True, file=io.StringIO(), soft_wrap=True)
    console.print(screen)
    return console.export_text()


def decided(message, reward=None, status="ok", action="web_search"):
    fields = {"policy": "gpt2", "action": action, "status": status, "reward": reward}
    return RunEvent("decided", message, fields)


def test_the_screen_shows_phase_progress_shares_decisions_epochs_and_rewards(screen):
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


def test_a_database_that_is_just_being_made_shows_nothing_yet(tmp_path):
    screen = LiveScreen(Workspace(tmp_path))
    screen.refresh(at_once=True)
    (tmp_path / "aegis.db").touch()  # as SQLite makes it, before its first transaction
    screen.refresh(at_once=True)
    assert "getting ready" in drawn(screen)


def test_markup_and_control_characters_from_outside_are_shown_as_text(screen):
    screen.refresh(at_once=True)
    screen.add(decided("web_search [bold]\x1b[31m[/nonsense]: 0 new", status="failed"))
    screen.add(RunEvent("waiting", "[blink]\x07 teacher"))
    shown = drawn(screen)
    assert "[bold][31m[/nonsense]" in shown
    assert "[blink] teacher" in shown
    assert "\x1b" not in shown


VERDICT = (
    "training 1 refused: ✗ accuracy 61.36% on 220 held-out decisions is 8.64 points below the threshold of 70.00%;"
    " ✗ its 95% lower bound of 54.59% is not above the 58.00% of always taking the commonest action;"
    " ✓ it finds every action that the teacher takes in at least 5% of the held-out decisions;"
    " ✓ calibration error of 4.10%"
)


def fill(screen):
    screen.refresh(at_once=True)
    for number in range(150):
        screen.add(decided(f"web_search question {number}: 2 new", 2.0))
        screen.add(RunEvent("epoch", f"epoch {number}/150: loss 1.2585"))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
def test_the_screen_fills_the_terminal_and_leaves_the_last_row_free(screen, width, height):
    assert len(drawn(screen, width, height).splitlines()) == height - 1
    screen.refresh(at_once=True)
    assert len(drawn(screen, width, height).splitlines()) == height - 1
    fill(screen)
    screen.add(RunEvent("training_ended", VERDICT))
    for number in range(9):
        screen.add(RunEvent("monitor", f"note {number} " + "of many words " * 20))
    shown = drawn(screen, width, height)
    assert len(shown.splitlines()) == height - 1
    assert max(map(len, shown.splitlines())) == width
    assert "question 149" in shown
    assert "epoch 149/150" in shown
    assert "note 8" in shown
    assert "Ctrl-C pauses" in shown


def test_a_large_terminal_shows_more_decisions(screen):
    fill(screen)
    shown = {height: drawn(screen, 120, height).count("question") for height in (24, 40, 60)}
    assert 3 <= shown[24] < shown[40] < shown[60]
    assert shown[40] > 20


@pytest.mark.parametrize("width", [80, 120])
def test_a_refusal_is_shown_in_full_until_the_next_training(screen, width):
    fill(screen)
    screen.add(RunEvent("training_ended", VERDICT))
    for number in range(9):
        screen.add(RunEvent("monitor", f"note {number}"))
    words = drawn(screen, width, 24).replace("│", " ").split()
    for word in VERDICT.replace(";", "").split():
        assert word in words
    screen.add(RunEvent("training_started", "training 2 on 1320 decisions"))
    assert "refused" not in drawn(screen)


def test_waiting_questions_are_shown_with_their_deadline_and_how_to_answer(screen):
    with open_store(screen._workspace) as store:
        (first, second, _) = (decision.id for decision in store.decisions())
        Inbox(store.database).ask(first, "What is [WAL]?", utc_now(), 250)
        Inbox(store.database).ask(second, "Too late?", utc_now(), 0)
    screen.refresh(at_once=True)
    shown = drawn(screen)
    assert 'question 1, 4 min left: What is [WAL]? -> answer 1 "..."' in shown
    assert "Too late" not in shown


def test_long_work_is_shown_until_it_is_over(screen):
    screen.hear("Loading gemma-3-270m", 120, 236)
    assert "Loading gemma-3-270m, 120 of 236 (0 s)" in drawn(screen)
    screen.refresh(at_once=True)
    assert "Loading gemma-3-270m, 120 of 236 (0 s)" in drawn(screen)
    screen.hear("", 0, 0)
    assert "Loading" not in drawn(screen)


def test_the_screen_explains_falling_rewards_if_little_is_left_to_find(screen):
    with open_store(screen._workspace) as store:
        for step in range(30):
            decision = Decision("f", step, {}, ("web_search", "x"), Action("web_search"), None, "gpt2")
            store.append(decision)
            store.record_outcome(Outcome(decision.id, "ok", gained=int(step % 3 == 0), reward=0.0))
    screen.refresh(at_once=True)
    assert "20 of the last 30 searches found nothing new" in drawn(screen)


def test_epochs_and_notes_are_in_order_of_time_and_a_resumed_run_no_longer_shows_its_pause(screen):
    began = utc_now()
    said = [
        ("started", "the agent decides by gpt2"),
        ("epoch", "epoch 1/20: loss 1.2585"),
        ("paused", "paused: nothing is decided"),
        ("epoch", "epoch 2/20: loss 1.0021"),
        ("resumed", "resumed"),
    ]
    for number, (kind, message) in enumerate(said):
        screen.add(RunEvent(kind, message, at=began + timedelta(seconds=number)))
    screen.refresh(at_once=True)
    shown = drawn(screen)
    places = [shown.index(words) for words in ("the agent decides by", "epoch 1/20", "epoch 2/20", " resumed")]
    assert places == sorted(places)
    assert "nothing is decided" not in shown


def test_in_60_columns_no_word_is_broken_and_every_decision_can_be_read(screen):
    screen.add(decided("web_search What is WAL?: 2 new", 2.0))
    screen.refresh(at_once=True)
    shown = drawn(screen, width=60)
    for words in ("Collected 3/1100", "web_search What is WAL?: 2 new", "+2.0", "Ctrl-C pauses and opens the prompt"):
        assert words in shown
    assert max(map(len, shown.splitlines())) <= 60
