"""Phase 4 at a decision point: a one-step problem whose teacher is good and not the best, its rewards from outside."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from aegis.config import HRMConfig, ReinforceConfig, TrainingConfig
from aegis.door import Decider, DeciderConfig
from aegis.errors import ConfigError
from aegis.hrm import HRMPolicy, load_version
from aegis.lifecycle import find_serving, open_store
from aegis.lifecycle.rl.reward_comparison import ImprovementState, compare_rewards, read_state
from aegis.promotion import ModelRegistry
from aegis.store import ImprovementLog
from aegis.types import ActionList, ActionSpec
from aegis.workspace import Workspace
from tests.door.training_thread import trained_in_threads

NAMES = ["refund", "escalate", "answer"]
ACTIONS = ActionList(tuple(ActionSpec(name, name, name) for name in NAMES))
WORDS = {"refund": "broken", "escalate": "angry", "answer": "where"}
"""The word of a ticket whose best action is this"""
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
LEARNS = ReinforceConfig(
    learning_rate=3e-3, temperature=1.0, kl=0.01, kl_bound=0.2, baseline_decisions=40, watched_decisions=60,
    control_every=4, passes=3, bf16=False,
)  # fmt: skip
COLLECTS = DeciderConfig(
    collect=120, model=TINY, training=TrainingConfig(epochs=12, learning_rate=3e-3, checkpoint_every_epochs=12)
)
IMPROVES = DeciderConfig(collect=120, model=TINY, reinforce=LEARNS)
REPORTER = f"""
import sys
from aegis.door import Decider
def good(state, actions): return "answer"
with Decider("tickets", {NAMES!r}, good, workspace=sys.argv[1]) as decider:
    for line in sys.stdin:
        decision, part, reward = line.split()
        decider.report(decision, parts={{part: float(reward)}})
"""


def good(state, actions):
    """Answer angry tickets, which are better escalated, and do the best in all others."""
    word = state["ticket"].split()[0]
    return {
        "broken": {"refund": 0.8, "escalate": 0.1, "answer": 0.1},
        "angry": {"refund": 0.05, "escalate": 0.35, "answer": 0.6},
        "where": {"refund": 0.1, "escalate": 0.1, "answer": 0.8},
    }[word]


def make_ticket(number):
    return {"ticket": f"{WORDS[NAMES[number % 3]]} order {number % 100}"}


def worth(number, action):
    return float(action == NAMES[number % 3])


@pytest.fixture(scope="session")
def imitated(made_once):
    """Return a folder with a point whose HRM has learned from the teacher and serves."""

    def make(folder):
        with trained_in_threads(), Decider("tickets", ACTIONS, good, workspace=folder, config=COLLECTS) as decider:
            until, number = time.monotonic() + 240, 0
            while decider.decide(make_ticket(number)).policy != "hrm@1":
                assert time.monotonic() < until
                number += 1
                time.sleep(0.2 if number > 130 else 0.0)

    return made_once("imitated-point", make)


@pytest.fixture
def folder(imitated, tmp_path, copy_workspace):
    return copy_workspace(imitated, tmp_path / "workspace")


def count_best(folder, name):
    """Return in how many of thirty tickets a version's most probable action is the best one."""
    models = Workspace(folder).point("tickets").models
    base = HRMPolicy.load(models / "hrm@1")
    policy = base if name == "hrm@1" else load_version(models / name, base)
    choices = policy.decide([make_ticket(number) for number in range(3000, 3030)], policy.actions)
    return sum(worth(number, choice.action) for number, choice in enumerate(choices))


@pytest.mark.slow
@pytest.mark.endurance
def test_the_hrm_of_a_point_outgrows_its_teacher_by_rewards_that_another_process_reports_late_and_in_parts(folder):
    until, events, waiting = time.monotonic() + 240, [], []
    with (
        subprocess.Popen([sys.executable, "-c", REPORTER, folder], stdin=subprocess.PIPE, text=True) as reporter,
        Decider("tickets", ACTIONS, good, workspace=folder, config=IMPROVES, notify=events.append) as decider,
        open_store(decider.workspace) as store,
    ):
        log, number = ImprovementLog(store.database), 0

        def has_learned():
            """Tell whether what serves earns surely more, and takes the best actions by now."""
            state = read_state(store) or ImprovementState("hrm@1", 0, 0)
            compared = compare_rewards(store, state, LEARNS)
            # A version that surely earns more becomes the reference, and hardly differs from those after it.
            if state.reference == "hrm@1" and (compared.difference is None or compared.difference[0] <= 0):
                return False
            return count_best(folder, find_serving(store, decider.workspace).name) >= 27

        while number % 25 or log.count() < 10 or not has_learned():  # how soon it has depends on chance
            assert time.monotonic() < until, "\n".join(event.message for event in events[-12:])
            decided = decider.decide(make_ticket(number))
            drawn = decided.policy != "good"  # the teacher decides what is unlike the HRM's training
            assert decided.propensity == (decided.probabilities[decided.action] if drawn else None)
            waiting.append((decided.id, worth(number, decided.action)))
            if len(waiting) > 5:  # half of an early decision's reward, and the other half of an earlier one's
                decision, reward = waiting.pop(0)
                print(decision, "solved", reward / 2, file=reporter.stdin)
                print(decision, "kept", reward / 2, file=reporter.stdin, flush=True)
            number += 1
            time.sleep(0.02)
        reporter.stdin.close()
        assert reporter.wait(60) == 0
    assert count_best(folder, "hrm@1") <= 20
    assert {"improving", "improved"} <= {event.kind for event in events}


@pytest.mark.slow
@pytest.mark.endurance
def test_a_version_that_earns_less_is_rolled_back_when_the_true_rewards_come(folder):
    until, events, made = time.monotonic() + 240, [], []

    def decide():
        assert time.monotonic() < until, "\n".join(event.message for event in events[-12:])
        decided = decider.decide(make_ticket(len(made)))
        made.append(decided)
        time.sleep(0.02)
        return decided.policy

    with (
        Decider("tickets", ACTIONS, good, workspace=folder, config=IMPROVES, notify=events.append) as decider,
        open_store(decider.workspace) as store,
    ):
        improved = 0
        while improved < 150:  # the first reports praise what is worst
            improved += decide() not in ("hrm@1", "good")
            decider.report(made[-1], 1 - worth(len(made) - 1, made[-1].action))
        for number, decided in enumerate(made):
            decider.report(decided, worth(number, decided.action))
        while not any("went back from hrm@" in event.message for event in events):
            improved = decide() not in (
                "hrm@1",
                "good",
            )  # where false praise made it the reference, evidence begins anew
            decider.report(made[-1], 0.0 if improved else worth(len(made) - 1, made[-1].action))
        assert decide() in ("hrm@1", "good")  # the teacher decides what is unlike the HRM's training
        last = [event for event in ModelRegistry(store, decider.workspace).events() if event.kind == "rolled_back"][-1]
        assert (last.model, find_serving(store, decider.workspace).name) == ("hrm@1", "hrm@1")
        assert "improved versions earn less than hrm@1" in last.reason


def test_phase_4_needs_decisions_of_the_hrm():
    with pytest.raises(ConfigError, match="mode observe"):
        DeciderConfig(mode="observe", reinforce=ReinforceConfig())
