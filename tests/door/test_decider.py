"""An agent of somebody else's: its decisions recorded, learned and taken over, through the public interface alone."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from aegis.config import HRMConfig, MonitorConfig, ReinforceConfig, TrainingConfig
from aegis.door import Decider, DeciderConfig
from aegis.errors import ConfigError, DataError, StoreError, TeacherError, TeacherMismatchError
from aegis.lifecycle import open_store, read_monitor
from aegis.lifecycle.milestone import HRM_ALONE
from aegis.promotion import ModelRegistry
from aegis.workspace import Workspace
from tests.door.training_thread import trained_in_threads

ACTIONS = ["refund", "escalate", "answer"]
WORDS = {"refund": "broken money", "escalate": "angry lawyer", "answer": "how where"}
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
QUICK = DeciderConfig(
    collect=120, model=TINY, training=TrainingConfig(epochs=12, learning_rate=3e-3, checkpoint_every_epochs=12)
)


def route(state, actions):
    """The rule that stands for a language model."""
    return next(name for name in actions if any(word in state["ticket"] for word in WORDS[name].split()))


def make_ticket(number):
    name = ACTIONS[number % 3]
    tier = random.Random(number).choice(["gold", "new"])
    return {"ticket": f"{WORDS[name]} order {number}", "customer": {"tier": tier}}


@pytest.fixture
def make_decider(tmp_path):
    made = []

    def make(name="support-router", actions=ACTIONS, teacher=route, **options):
        made.append(Decider(name, actions, teacher, workspace=tmp_path, **options))
        return made[-1]

    yield make
    for decider in made:
        decider.close()


@pytest.fixture
def in_threads():
    """Train in a thread: that a training runs in a process of its own is another test's."""
    with trained_in_threads():
        yield


def decide_until(decider, policy, events):
    """Decide and report until this policy decides; more slowly once a training is due."""
    number, until = 0, time.monotonic() + 240
    while (decided := decider.decide(make_ticket(number))).policy != policy:
        assert time.monotonic() < until, [event.message for event in events]
        decider.report(decided, reward=1.0)
        number += 1
        if number > 130:
            time.sleep(0.2)


@pytest.mark.long
def test_a_decider_records_trains_and_switches_by_itself(make_decider, tmp_path):
    events = []
    decider = make_decider(config=QUICK, notify=events.append)
    decide_until(decider, "hrm@1", events)
    agreed = [decider.decide(make_ticket(n)).action == ACTIONS[n % 3] for n in range(1000, 1030)]
    assert sum(agreed) > 20
    decider.close()
    # The next process decides by the HRM from its first decision on.
    assert make_decider(config=QUICK).decide(make_ticket(1)).policy == "hrm@1"
    assert "switched" in [event.kind for event in events]


@pytest.mark.long
@pytest.mark.usefixtures("in_threads")
def test_the_simple_student_takes_over_where_it_is_better_and_phase_4_rests(make_decider, tmp_path):
    events = []
    training = TrainingConfig(epochs=1, student="auto")  # an HRM of one epoch has hardly learned anything
    config = replace(QUICK, training=training, reinforce=ReinforceConfig(), monitor=MonitorConfig(audit_rate=0.5))
    decider = make_decider(config=config, notify=events.append)
    decide_until(decider, "linear@1", events)
    until = time.monotonic() + 120
    agreed = [decider.decide(make_ticket(n)).action == ACTIONS[n % 3] for n in range(1000, 1030)]
    assert all(agreed)
    told = f"phase 4 rests while linear@1 decides: {HRM_ALONE}"
    while told not in [event.message for event in events] and time.monotonic() < until:
        time.sleep(0.1)
    assert told in [event.message for event in events]
    place = Workspace(tmp_path).point("support-router")
    with open_store(place) as store:
        audited = lambda: read_monitor(store, ModelRegistry(store, place), "linear@1").audits  # noqa: E731
        for number in range(1030, 2030):
            if audited() or time.monotonic() > until:
                break
            decider.decide(make_ticket(number))
            time.sleep(0.1)
        assert audited() > 0
    decider.close()
    assert make_decider(config=config).decide(make_ticket(1)).policy == "linear@1"


def test_a_decision_is_on_the_disk_before_it_is_returned_and_its_outcome_after_it(make_decider, tmp_path):
    decider = make_decider()
    decided = decider.decide({"ticket": "my broken phone"}, episode="customer 7")
    again = decider.decide({"ticket": "where is it"}, episode="customer 7")
    decider.report(decided, reward=0.5, detail="refunded", result={"order": 7})
    with open_store(Workspace(tmp_path).point("support-router")) as store:
        found = store.get(decided.id)
        assert found is not None
        decision, outcome = found
        assert (decision.action.name, decision.state, decision.step) == ("refund", {"ticket": "my broken phone"}, 0)
        assert (outcome.reward, outcome.detail, outcome.result) == (0.5, "refunded", {"order": 7})
        assert store.get(again.id).decision.step == 1
        assert store.teacher().name == "route"
    assert decided.probabilities == {"refund": 1.0, "escalate": 0.0, "answer": 0.0}


def test_a_reward_may_come_in_parts_and_by_the_decisions_id(make_decider, tmp_path):
    decider = make_decider()
    decided = decider.decide({"ticket": "how"})
    decider.report(decided.id, parts={"solved": 1.0})
    decider.report(decided.id, parts={"minutes": -0.25})
    with open_store(decider.workspace) as store:
        outcome = store.get(decided.id).outcome
    assert (outcome.reward, outcome.components) == (0.75, {"solved": 1.0, "minutes": -0.25})
    with pytest.raises(StoreError, match="no decision 'nobody'"):
        decider.report("nobody", reward=1.0)
    with pytest.raises(DataError, match="not both"):
        decider.report(decided, 1.0, parts={"solved": 1.0})


@pytest.mark.parametrize("answer", ["escalate", {"escalate": 2.0}, [0.0, 3.0, 0.0]])
def test_a_teacher_may_answer_with_a_name_or_with_probabilities(make_decider, answer):
    decided = make_decider(teacher=lambda state, actions: answer).decide("a text")
    assert (decided.action, decided.probabilities["escalate"]) == ("escalate", 1.0)


@pytest.mark.parametrize("answer", ["dance", {"dance": 1.0}, [1.0], [0.0, 0.0, 0.0], [float("nan")] * 3, None])
def test_an_answer_that_is_no_action_is_refused_and_nothing_is_recorded(make_decider, answer):
    decider = make_decider(teacher=lambda state, actions: answer)
    with pytest.raises(TeacherError, match="return one of refund, escalate, answer"):
        decider.decide("a text")
    with open_store(decider.workspace) as store:
        assert store.count() == 0


def test_a_decision_among_some_actions_asks_about_these_and_is_recorded_with_them(make_decider):
    asked = []

    def teacher(state, actions):
        asked.append(actions)
        return [1.0] * len(actions)

    decider = make_decider(teacher=teacher)
    two = decider.decide("a text", offered=["answer", "refund"])
    one = decider.decide("a text", offered=["escalate"])
    assert asked == [("refund", "answer"), ("escalate",)]
    assert two.probabilities == {"refund": 0.5, "answer": 0.5}
    assert (one.action, one.probabilities) == ("escalate", {"escalate": 1.0})
    with open_store(decider.workspace) as store:
        assert [store.get(one.id).decision.actions for one in (two, one)] == asked


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ([], "no action is on offer: give at least one of refund, escalate, answer"),
        (["dance"], "unknown action 'dance': the list is refund, escalate, answer"),
        (["refund", "refund"], "on offer twice: refund"),
        ("refund", r"is one text: give a list of names, e.g. offered=\['refund'\]"),
    ],
)
def test_an_offer_of_nothing_or_of_something_unknown_is_refused(make_decider, offered, said):
    decider = make_decider()
    with pytest.raises(DataError, match=said):
        decider.decide("a text", offered=offered)
    with open_store(decider.workspace) as store:
        assert store.count() == 0


def test_texts_and_messages_are_states_too(make_decider):
    decider = make_decider(teacher=lambda state, actions: "answer")
    ids = [decider.decide("hello").id, decider.decide([{"role": "user", "content": "hi"}]).id]
    with open_store(decider.workspace) as store:
        states = [store.get(one).decision.state for one in ids]
    assert states == [{"text": "hello"}, {"messages": [{"role": "user", "content": "hi"}]}]
    with pytest.raises(DataError, match="a state is an object, a text or a list of chat messages"):
        decider.decide(7)


def test_another_list_of_actions_or_another_teacher_is_refused(make_decider):
    make_decider().close()
    with pytest.raises(ConfigError, match=r"actions are refund, escalate, answer: .* is missing and a, b is new"):
        make_decider(actions=["a", "b"])
    with pytest.raises(TeacherMismatchError, match=r"the function f: f\.__name__ = '\w+'"):
        make_decider(teacher=make_ticket)
    with pytest.raises(ConfigError, match=r"decision point '\.\./up'"):
        make_decider(name="../up")
    with pytest.raises(ConfigError, match="is one text"):
        make_decider(name="other", actions="refund")
    with pytest.raises(ConfigError, match="at least two actions"):
        make_decider(name="other", actions=["refund"])


def test_a_closed_decider_says_so(make_decider):
    decider = make_decider()
    decider.close()
    with pytest.raises(StoreError, match="closed"):
        decider.decide("a text")


def test_eight_threads_and_three_points_lose_nothing_and_mix_nothing(make_decider):
    deciders = [make_decider(name=f"point-{n}", teacher=lambda state, actions, n=n: actions[n]) for n in range(3)]
    threads = [
        threading.Thread(target=lambda: [one.decide({"n": n}) for n in range(10) for one in deciders]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, decider in enumerate(deciders):
        with open_store(decider.workspace) as store:
            assert store.count() == 80
            assert store.action_counts(None) == {ACTIONS[place]: 80}


def test_several_processes_may_decide_at_one_point(make_decider, tmp_path):
    code = (
        "import sys\nfrom aegis.door import Decider\n"
        "def rule(state, actions): return actions[0]\n"
        f"with Decider('shared', {ACTIONS!r}, rule, workspace=sys.argv[1]) as decider:\n"
        "    for n in range(25): decider.report(decider.decide({'n': n}, episode='one'), reward=1.0)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    with open_store(Workspace(tmp_path).point("shared")) as store:
        assert store.count() == 100
        assert sorted(decision.step for decision in store.decisions()) == list(range(100))
        assert Workspace(tmp_path).points() == ["shared"]


def test_a_decision_that_was_made_elsewhere_is_recorded_as_the_teachers(make_decider):
    decider = make_decider(teacher=lambda state, actions: pytest.fail("nobody is to be asked"))
    decided = decider.record("my broken phone", "refund", episode="customer 7", id="d-1")
    assert (decided.id, decided.action, decided.policy, decided.episode) == ("d-1", "refund", "<lambda>", "customer 7")
    decider.report("d-1", reward=1.0)
    with open_store(decider.workspace) as store:
        found = store.get("d-1")
    assert (found.decision.state, found.decision.probabilities) == ({"text": "my broken phone"}, (1.0, 0.0, 0.0))
    assert found.outcome.reward == 1.0
    with pytest.raises(StoreError, match="recorded already"):
        decider.record("again", "refund", id="d-1")
    with pytest.raises(DataError, match="unknown action 'dance'"):
        decider.record("again", "dance")
