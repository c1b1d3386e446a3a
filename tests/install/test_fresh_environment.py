"""A fresh environment with the wheel's extra `train`: five lines, observe mode and the tutorial lead to a switch.

Each begins in an empty folder outside the checkout. It needs the package index: `make test-install` runs it.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands.init.test_command import check_what_the_tutorial_printed, tutorial_lines

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
COMMON = """
import json, sys, time
import aegis
from aegis.config import HRMConfig, TrainingConfig

WORDS = {"refund": "my phone is broken", "escalate": "my lawyer will call", "answer": "where is my parcel"}
SMALL = {
    "collect": 120,
    "model": HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2),
    "training": TrainingConfig(epochs=12, learning_rate=3e-3),
}
events, asked, until = [], [], time.monotonic() + 240

def ticket_of(number):
    return f"Order {number}: {WORDS[list(WORDS)[number % 3]]}"

def my_llm(ticket):
    asked.append(ticket)
    return next(action for action, words in WORDS.items() if words in ticket)
"""
FIVE_LINES = """
with aegis.Decider("support-router", actions=list(WORDS), teacher=lambda state, actions: my_llm(state["ticket"]),
                   config=aegis.DeciderConfig(**SMALL), notify=events.append) as decider:
    number = by_hrm = right = 0
    while by_hrm < 30:
        assert time.monotonic() < until, [event.message for event in events]
        decision = decider.decide({"ticket": ticket_of(number), "customer": {"tier": "gold"}})
        decider.report(decision, reward=1.0)
        by_hrm += decision.policy == "hrm@1"
        right += decision.policy == "hrm@1" and decision.action == list(WORDS)[number % 3]
        number += 1
        if number > 120:
            time.sleep(0.05)
print(json.dumps([aegis.__file__, right, number - len(asked), [event.kind for event in events]]))
"""
OBSERVE = """
@aegis.observe("support-router", actions=list(WORDS), mode=sys.argv[1], notify=events.append, **SMALL)
def route(ticket):
    return my_llm(ticket)

number, told = 0, []
while not told if sys.argv[1] == "observe" else number - len(asked) < 30:
    assert time.monotonic() < until, [event.message for event in events]
    assert route(ticket_of(number)) == list(WORDS)[number % 3] or sys.argv[1] != "observe"
    told = [event.message for event in events if event.kind == "savings" and "certified" in event.message]
    number += 1
    if number > 120 or sys.argv[1] != "observe":
        time.sleep(0.05)
route.observer.close()
print(json.dumps([aegis.__file__, number, len(asked), told]))
"""


def run(command: list[str | Path], folder: Path) -> str:
    """Run a command in a folder, as from a new user's terminal: nothing of this checkout is on its path."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    given["AEGIS_CACHE"] = str(folder / ".cache")
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=given, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{shlex.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory) -> Path:
    """Return the folder of the programs of an environment into which the wheel was installed with its extra `train`."""
    folder = tmp_path_factory.mktemp("fresh")
    began = time.monotonic()
    run([sys.executable, "-m", "venv", folder / "venv"], folder)
    python = folder / "venv" / "bin" / "python"
    # Without bytecode, which only pays for what is imported: each module's is written at its first import.
    install = [python, "-m", "pip", "install", "--quiet", "--no-compile", "-c", ROOT / "constraints.txt"]
    run([*install, f"{wheel}[train]"], folder)
    print(f"\npip install 'aegis-hrm[train]': {time.monotonic() - began:.0f} seconds")
    return python.parent


@pytest.fixture
def run_python(programs, tmp_path) -> Callable[..., list[Any]]:
    """Return what runs a program in an empty folder; it returns what that printed last, without the place of aegis."""

    def run_python(program: str, *arguments: str) -> list[Any]:
        printed = run([programs / "python", "-c", COMMON + program, *arguments], tmp_path)
        place, *found = json.loads(printed.splitlines()[-1])
        assert Path(place).is_relative_to(programs.parent)
        return found

    return run_python


def test_five_lines_lead_to_a_switch(run_python):
    right, not_asked, kinds = run_python(FIVE_LINES)
    assert right >= 27
    assert not_asked > 20, "the teacher is asked again for audits only"
    assert {"training_started", "training_ended", "switched"} <= set(kinds)


def test_an_observed_function_is_answered_for_once_its_owner_says_so(run_python):
    calls, asked, told = run_python(OBSERVE, "observe")
    assert asked == calls > 120
    assert "of these decisions could be the HRM's" in told[-1]
    calls, asked, _ = run_python(OBSERVE, "switch")  # the function is asked until the HRM is loaded, and for audits
    assert calls - asked == 30


def test_the_tutorial_leads_from_an_empty_folder_to_a_switched_agent_and_back(programs, tmp_path):
    printed, folder = {}, tmp_path
    for words in tutorial_lines():
        if words[0] == "cd":
            folder /= words[1]
        else:
            printed[" ".join(words)] = run([programs / words[0], *words[1:]], folder)
    check_what_the_tutorial_printed(printed)
