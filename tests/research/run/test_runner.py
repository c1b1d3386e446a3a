"""The agent by itself: its pace, its pauses, what it does when its teacher or its training fails."""

from __future__ import annotations

import threading
import time

import pytest

from aegis.errors import StoreError, TeacherError
from aegis.lifecycle import open_store, read_standing
from aegis.lifecycle.lock import hold
from aegis.store import StateKey, TrainingLog
from aegis.testing import ScriptedTeacher
from aegis.types import Choice

REFUSE = """
import sqlite3, sys
with sqlite3.connect(sys.argv[sys.argv.index("--workspace") + 1] + "/aegis.db", timeout=30) as connection:
    connection.execute("UPDATE trainings SET status = 'refused', reason = 'too bad', ended_at = 'now'"
                       " WHERE status = 'running'")
"""


def run_aside(runner):
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    return thread


def save(name, folder):
    (folder / "x").write_text("x")


def decided(events):
    return [event for event in events if event.kind == "decided"]


def test_the_runner_makes_as_many_decisions_as_asked_and_reports_each(workspace, make_runner):
    events = []
    make_runner(max_decisions=25, notify=events.append).run()
    told = [event.fields["id"] for event in decided(events)]
    with open_store(workspace) as store:
        assert [decision.id for decision in store.decisions()] == told
    assert len(told) == 25
    assert [event.kind for event in (events[0], events[-1])] == ["started", "left"]
    assert read_standing(workspace).collected == 25


def test_an_interval_is_kept_between_decisions(make_runner):
    events = []
    make_runner(max_decisions=4, interval_seconds=0.1, notify=events.append).run()
    # From before the first decision begins: on a busy machine it may take longer than those after it.
    assert (decided(events)[-1].at - events[0].at).total_seconds() >= 0.3


def test_a_pause_lasts_until_it_is_resumed_and_a_stop_ends_it(workspace, make_runner, wait_for):
    events = []
    runner = make_runner(notify=events.append)
    thread = run_aside(runner)
    wait_for(lambda: len(decided(events)) >= 3)
    runner.pause()
    wait_for(lambda: any(event.kind == "paused" for event in events))
    made = len(decided(events))
    time.sleep(0.2)
    assert len(decided(events)) == made
    assert read_standing(workspace).doing == "paused"
    runner.resume()
    wait_for(lambda: len(decided(events)) > made)
    runner.pause()
    runner.stop()
    thread.join(120)
    assert not thread.is_alive()
    assert not read_standing(workspace).running


def test_a_pause_from_another_process_holds_until_it_is_taken_back(workspace, make_runner, wait_for):
    events = []
    with open_store(workspace) as store:
        store.state.keep_text(StateKey.PAUSED, "somebody")
    runner = make_runner(notify=events.append, max_decisions=2)
    thread = run_aside(runner)
    wait_for(lambda: any(event.message.startswith("paused in the dashboard") for event in events))
    assert decided(events) == []
    assert read_standing(workspace).doing == "paused"
    runner.resume()
    thread.join(120)
    assert len(decided(events)) == 2
    with open_store(workspace) as store:
        assert not store.state.text(StateKey.PAUSED)


def test_an_agent_that_is_paused_while_a_training_begins_says_that_it_is_paused(workspace, make_runner, fill, wait_for):
    fill(200)
    runner = make_runner("import time; time.sleep(60)", collect=200)
    runner.pause()  # before it was ready
    thread = run_aside(runner)
    wait_for(lambda: read_standing(workspace).training is not None)
    wait_for(lambda: read_standing(workspace).doing == "paused, while training 1 runs")
    runner.stop()
    thread.join(120)
    assert not thread.is_alive()


def test_a_second_agent_in_the_workspace_is_refused(workspace, make_runner):
    with hold(workspace.agent_lock, "an agent"), pytest.raises(StoreError, match="an agent is running in this"):
        make_runner(max_decisions=1).run()


def test_a_teacher_that_fails_is_tried_again_with_growing_pauses_and_comes_back(workspace, make_runner, teacher):
    events, asked = [], []

    class Failing(ScriptedTeacher):
        def decide(self, states, actions):
            asked.append(states)
            if 3 <= len(asked) <= 7:
                raise RuntimeError("CUDA out of memory")
            return super().decide(states, actions)

    runner = make_runner(
        load=lambda store: Failing(), max_decisions=6, notify=events.append,
        first_pause_seconds=0.01, longest_pause_seconds=0.05,
    )  # fmt: skip
    runner.run()
    failures = [event for event in events if event.kind == "policy_failed"]
    assert [event.fields["pause_seconds"] for event in failures] == [0.01, 0.02, 0.04, 0.05, 0.05]
    assert "CUDA out of memory" in failures[0].message
    assert "idles" not in failures[0].message
    assert "the agent idles" in failures[-1].message
    assert [event.kind for event in events].count("policy_back") == 1
    assert len(decided(events)) == 6
    assert read_standing(workspace).decisions == 6


def test_a_teacher_that_did_not_fit_into_memory_is_loaded_later(make_runner, teacher):
    tries = []

    def load(store):
        tries.append(store)
        if len(tries) < 3:
            raise MemoryError
        return teacher

    make_runner(load=load, max_decisions=1, first_pause_seconds=0.01).run()
    assert len(tries) == 3


def test_a_missing_teacher_ends_the_run_with_its_error(make_runner):
    def load(store):
        raise TeacherError("gpt2 is not installed")

    with pytest.raises(TeacherError, match="gpt2 is not installed"):
        make_runner(load=load).run()


def test_an_action_that_raises_is_recorded_as_failed_and_the_agent_continues(workspace, make_runner, fake_search):
    def search(self, query, limit):
        raise ZeroDivisionError("a bug of the provider's")

    fake_search.search = search  # the fixture undoes it
    make_runner(max_decisions=10).run()
    with open_store(workspace) as store:
        outcomes = [outcome for decision, outcome in store.examples() if decision.action.name == "web_search"]
    assert outcomes
    assert {outcome.status for outcome in outcomes} == {"failed"}
    assert "a bug of the provider's" in outcomes[0].detail


def test_training_starts_at_the_target_beside_the_agent_and_again_after_a_fifth_more_decisions(
    workspace, make_runner, wait_for
):
    events = []
    runner = make_runner(trainer=REFUSE, collect=100, notify=events.append)
    thread = run_aside(runner)
    wait_for(lambda: [event.kind for event in events].count("training_ended") >= 2)
    runner.stop()
    thread.join(120)
    with open_store(workspace) as store:
        log = TrainingLog(store.database)
        first, second = log.get(1), log.get(2)
    assert (first.decisions, first.last_seq) == (100, 100)
    assert second.decisions >= 120
    kinds = [event.kind for event in events]
    start, end = kinds.index("training_started"), kinds.index("training_ended")
    assert "decided" in kinds[start:end]


def test_a_training_process_that_always_fails_is_given_up_and_the_agent_continues(workspace, make_runner, wait_for):
    events = []
    runner = make_runner(trainer="raise SystemExit(9)", collect=100, notify=events.append)
    thread = run_aside(runner)
    wait_for(lambda: any(event.kind == "training_ended" for event in events))
    runner.stop()
    thread.join(120)
    (ended,) = [event for event in events if event.kind == "training_ended"]
    assert ended.fields["status"] == "failed"
    assert "3 times in a row (exit code 9)" in ended.message
    assert "training.log" in ended.message


def test_a_stop_ends_the_training_process_too(workspace, make_runner, tmp_path, wait_for):
    events = []
    sleeps = f"import pathlib, time; pathlib.Path({str(tmp_path / 'began')!r}).touch(); time.sleep(600)"
    runner = make_runner(trainer=sleeps, collect=100, notify=events.append)
    thread = run_aside(runner)
    wait_for((tmp_path / "began").exists)
    runner.stop()
    thread.join(120)  # the training sleeps for longer
    assert not thread.is_alive()
    assert read_standing(workspace).phase == 2


def test_a_goal_of_a_person_stays_with_the_agent_in_its_next_episode(workspace, make_runner):
    from aegis.research.run import conversation
    from aegis.types import utc_now

    make_runner(max_decisions=3).run()
    with open_store(workspace) as store:
        assert conversation.ask(store.database, "What is a Carry?", utc_now())
    make_runner(max_decisions=30).run()
    with open_store(workspace) as store:
        queries = [decision.action.argument.get("query") for decision in store.decisions()]
    assert "What is a Carry?" in queries


def test_the_hrm_takes_over_from_a_teacher_that_is_down(workspace, make_runner, teacher, monkeypatch, wait_for):
    from aegis.lifecycle.policies.loading import VersionLoader
    from aegis.promotion import ModelRegistry

    events, down = [], threading.Event()

    class Dying(ScriptedTeacher):
        def decide(self, states, actions):
            if down.is_set():
                raise ConnectionError("the endpoint is down")
            return super().decide(states, actions)

    monkeypatch.setattr(VersionLoader, "_load", lambda self, serving, progress: ScriptedTeacher(name=serving.name))
    runner = make_runner(
        load=lambda store: Dying(), notify=events.append, until_switched=True, first_pause_seconds=60.0
    )  # fmt: skip
    thread = run_aside(runner)
    wait_for(lambda: len(decided(events)) >= 3)
    down.set()
    wait_for(lambda: any(event.kind == "policy_failed" for event in events))
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).promote(lambda name, folder: None)
    thread.join(120)
    assert not thread.is_alive()
    assert decided(events)[-1].fields["policy"] == "hrm@1"
    (switched,) = [event for event in events if event.kind == "switched"]
    assert switched.fields["previous"] == "scripted"
    assert read_standing(workspace).phase == 4


FIGURES = {"interval": [0.796, 0.894]}


def stand_in(monkeypatch, action):
    """Let every HRM be a rule that always takes one action."""
    from aegis.lifecycle.policies.loading import VersionLoader

    class Rule(ScriptedTeacher):
        def decide(self, states, actions):
            row = [float(name == action) for name in actions.names]
            return [Choice.best(row, actions, self.name, "hrm") for _ in states]

    monkeypatch.setattr(VersionLoader, "_load", lambda self, serving, progress: Rule(name=serving.name))


def test_an_hrm_that_no_longer_agrees_is_rolled_back_and_the_teacher_decides_again(
    workspace, make_runner, monkeypatch, wait_for
):
    from aegis.config import MonitorConfig
    from aegis.promotion import ModelRegistry

    stand_in(monkeypatch, "propose_improvement")
    with open_store(workspace) as store:
        store.claim_teacher("scripted", 0, "a rule")
        ModelRegistry(store, workspace).promote(save, FIGURES)
    events = []
    runner = make_runner(notify=events.append, monitor=MonitorConfig(audit_rate=1.0), interval_seconds=0.002)
    thread = run_aside(runner)
    wait_for(lambda: decided(events) and decided(events)[-1].fields["policy"] == "scripted")
    runner.stop()
    thread.join(120)
    assert decided(events)[0].fields["policy"] == "hrm@1"
    assert any(e.kind == "monitor" and "rolled back from hrm@1 to the teacher" in e.message for e in events)
    (switched,) = [event for event in events if event.kind == "switched"]
    assert switched.message == "went back from hrm@1 to scripted"
    with open_store(workspace) as store:
        assert [event.kind for event in ModelRegistry(store, workspace).events()][-1] == "rolled_back"


def test_a_version_that_a_person_rolls_back_no_longer_decides(workspace, make_runner, monkeypatch, wait_for):
    from aegis.promotion import ModelRegistry

    stand_in(monkeypatch, "idle")
    with open_store(workspace) as store:
        for _ in range(2):
            ModelRegistry(store, workspace).promote(save)
    events = []
    runner = make_runner(notify=events.append)
    thread = run_aside(runner)

    def decides(name):
        return lambda: decided(events) and decided(events)[-1].fields["policy"] == name

    wait_for(decides("hrm@2"))
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).roll_back("hrm@1", "ada", "odd answers")
        wait_for(decides("hrm@1"))
        ModelRegistry(store, workspace).roll_back(None, "ada", "these, too")
    wait_for(decides("scripted"))
    runner.stop()
    thread.join(120)
    assert not thread.is_alive()


def test_an_hrm_is_rolled_back_though_its_last_decision_was_the_teachers(workspace, make_runner, monkeypatch, wait_for):
    import numpy as np

    from aegis.lifecycle.policies.loading import VersionLoader
    from aegis.promotion import ModelRegistry
    from aegis.promotion.monitoring.drift import fit_drift, write_drift

    class Lost(ScriptedTeacher):
        """Knows no state."""

        @property
        def actions(self):
            from aegis.research import RESEARCH_ACTIONS

            return RESEARCH_ACTIONS

        def answer(self, states, actions):
            rows = [choice.probabilities for choice in self.decide(states, actions)]
            return np.array(rows), np.full((len(states), 2), 50.0, dtype=np.float32)

    def save(name, folder):
        rng = np.random.default_rng(0)
        write_drift(folder, fit_drift(*(rng.normal(size=(50, 2)).astype(np.float32) for _ in range(2))))

    monkeypatch.setattr(VersionLoader, "_load", lambda self, serving, progress: Lost(name=serving.name))
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).promote(save)
    events = []
    runner = make_runner(notify=events.append, interval_seconds=0.002)
    thread = run_aside(runner)
    wait_for(lambda: len(decided(events)) >= 3)
    assert {event.fields["policy"] for event in decided(events)} == {"scripted"}
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).roll_back(None, "ada", "odd answers")
    wait_for(lambda: any(event.kind == "switched" for event in events))
    runner.stop()
    thread.join(120)
    (switched,) = [event for event in events if event.kind == "switched"]
    assert switched.message == "went back from hrm@1 to scripted"
