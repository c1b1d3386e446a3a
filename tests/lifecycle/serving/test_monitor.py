from __future__ import annotations

import random
from dataclasses import replace

import pytest

from aegis.config import MonitorConfig
from aegis.config.plan import TrainingPlan
from aegis.errors import TeacherError
from aegis.lifecycle import ServingMonitor, describe_monitor, open_store, read_monitor
from aegis.lifecycle.standing import next_training_at
from aegis.promotion import ModelRegistry
from aegis.research import RESEARCH_ACTIONS
from aegis.store import TrainingLog
from aegis.types import Action, Choice, Decision, utc_now

ACTIONS = RESEARCH_ACTIONS.names
ALWAYS = MonitorConfig(audit_rate=1.0)
FIGURES = {"interval": [0.796, 0.894], "accuracy": 0.85}


class Scripted:
    """A teacher that searches, always."""

    name, parameters, source = "scripted", 0, "a rule"

    def __init__(self):
        self.asked = 0

    def decide(self, states, actions):
        self.asked += 1
        return [Choice.best((0.97, 0.01, 0.01, 0.01), actions, self.name, "teacher") for _ in states]


def decided(number: int, action: str, policy: str = "hrm@1") -> Decision:
    return Decision(f"e{number}", 0, {"n": number}, ACTIONS, Action(action), None, policy)


def save(name, folder):
    (folder / "weights").write_text(name)


@pytest.fixture
def store(workspace):
    with open_store(workspace) as opened:
        yield opened


def make_monitor(store, workspace, teacher, told=None, config=ALWAYS, seed=0):
    tell = (lambda line: None) if told is None else told.append
    return ServingMonitor(store, workspace, RESEARCH_ACTIONS, lambda: teacher, config, random.Random(seed), tell)


def test_an_hrm_that_agrees_continues_to_serve(store, workspace):
    registry = ModelRegistry(store, workspace)
    registry.promote(save, FIGURES)
    monitor = make_monitor(store, workspace, Scripted())
    assert not any(monitor.after(decided(n, "web_search")) for n in range(200))
    assert registry.serving().name == "hrm@1"
    found = read_monitor(store, registry, "hrm@1")
    assert found is not None
    assert "200 of 200 audited decisions (100.0%" in describe_monitor(found)


def test_an_hrm_that_stops_agreeing_leads_to_a_warning_and_a_roll_back_to_the_version_before(store, workspace):
    registry, told = ModelRegistry(store, workspace), []
    registry.promote(save, FIGURES)
    registry.promote(save, FIGURES)
    monitor = make_monitor(store, workspace, Scripted(), told)
    draw = random.Random(1)
    for number in range(500):
        if monitor.after(decided(number, "web_search" if draw.random() < 0.6 else "idle", "hrm@2")):
            break
    assert registry.serving().name == "hrm@1"
    kinds = [event.kind for event in registry.events()]
    assert kinds == ["promoted", "promoted", "warned", "rolled_back"]
    last = registry.events()[-1]
    assert (last.who, last.previous, last.model) == ("monitor", "hrm@2", "hrm@1")
    assert last.evidence["evidence"] >= last.evidence["evidence_needed"]
    assert last.evidence["audits"] == number + 1
    assert "may agree less" in told[0]
    assert "rolled back from hrm@2 to hrm@1" in told[-1]


def test_a_deep_fall_and_a_fall_of_the_first_version_end_at_the_teacher(store, workspace):
    registry, told = ModelRegistry(store, workspace), []
    registry.promote(save, FIGURES)
    monitor = make_monitor(store, workspace, Scripted(), told)
    assert any(monitor.after(decided(n, "idle")) for n in range(60))
    assert registry.serving() is None
    assert "to the teacher" in told[-1]
    assert registry.cooling_decisions(200) == 200


def test_the_teacher_is_asked_only_about_the_drawn_share_of_the_decisions(store, workspace):
    ModelRegistry(store, workspace).promote(save, FIGURES)
    teacher = Scripted()
    monitor = make_monitor(store, workspace, teacher, config=MonitorConfig(audit_rate=0.1))
    for number in range(300):
        monitor.after(decided(number, "web_search"))
    assert 15 <= teacher.asked <= 50


def test_an_episode_is_audited_to_its_end_at_the_rate_at_which_it_began(store, workspace):
    ModelRegistry(store, workspace).promote(save, FIGURES)
    teacher, config = Scripted(), MonitorConfig(audit_rate=0.001, close_audit_rate=1.0)
    monitor = make_monitor(store, workspace, teacher, config=config)
    for agrees, episode in ((False, "wrong"), (True, "begun closely"), *[(True, f"right {n}") for n in range(12)]):
        monitor.compare("hrm@1", agrees, episode, rate=1.0)
    for number, episode in enumerate(["begun closely"] * 5 + ["another"] * 5):
        monitor.after(replace(decided(number, "web_search"), episode=episode))
    assert teacher.asked == 5


def test_decisions_of_other_policies_are_not_audited_and_a_rate_of_zero_audits_none(store, workspace):
    ModelRegistry(store, workspace).promote(save, FIGURES)
    teacher = Scripted()
    make_monitor(store, workspace, teacher).after(decided(0, "idle", policy="scripted"))
    make_monitor(store, workspace, teacher, config=MonitorConfig(audit_rate=0)).after(decided(1, "idle"))
    assert teacher.asked == 0


def test_the_monitor_continues_after_a_restart(store, workspace):
    registry = ModelRegistry(store, workspace)
    registry.promote(save, FIGURES)
    for number in range(6):  # each time by a new monitor
        make_monitor(store, workspace, Scripted()).after(decided(number, "web_search"))
    assert read_monitor(store, registry, "hrm@1").audits == 6


def test_a_teacher_that_can_not_be_asked_is_reported_once_and_the_hrm_continues(store, workspace):
    ModelRegistry(store, workspace).promote(save, FIGURES)
    told = []

    def fail():
        raise TeacherError("no such model here")

    monitor = ServingMonitor(store, workspace, RESEARCH_ACTIONS, fail, ALWAYS, random.Random(0), told.append)
    assert not any(monitor.after(decided(n, "idle")) for n in range(5))
    assert told == ["the HRM is not monitored, because its teacher can't be asked: no such model here"]


def test_a_version_without_a_promise_is_not_monitored_and_the_monitor_says_so(store, workspace):
    ModelRegistry(store, workspace).promote(save)
    told = []
    make_monitor(store, workspace, Scripted(), told).after(decided(0, "idle"))
    assert told == ["hrm@1 is not monitored: its promise was not recorded; train again"]


def test_after_a_roll_back_the_next_training_needs_more_decisions(store):
    log = TrainingLog(store.database)
    record = log.begin(1000, 1000, TrainingPlan(), utc_now())
    log.end(record.id, "switched", "", {}, utc_now())
    assert next_training_at(log, 100) == 1000
    assert next_training_at(log, 100, serves=False) == 1200


def test_the_teachers_answer_becomes_a_label_to_learn_from_and_never_judges(store, workspace):
    from aegis.config import TrainingConfig
    from aegis.lifecycle import read_workspace_data, split_data
    from aegis.store import LabelBook

    store.claim_teacher("scripted", 0, "a rule")
    search = Action("web_search")
    store.append_many(
        Decision(f"t{n // 10}", n % 10, {"own": n}, ACTIONS, search, None, "scripted") for n in range(100)
    )
    ModelRegistry(store, workspace).promote(save, FIGURES)
    monitor, audited = make_monitor(store, workspace, Scripted()), [decided(n, "web_search") for n in range(10)]
    for decision in audited:
        store.append(decision)
        monitor.after(decision)
    (first, *others) = LabelBook(store.database).decisions("scripted")
    assert (first.probabilities, len(others)) == ((0.97, 0.01, 0.01, 0.01), 9)
    data = read_workspace_data(workspace, default=RESEARCH_ACTIONS)
    assert (len(data.decisions), data.labelled) == (110, 10)
    split = split_data(data, TrainingConfig())
    ids = {decision.id for decision in audited}
    assert ids <= {decision.id for decision in split.train}  # though they are the newest
    assert not ids & {decision.id for decision in split.heldout}
    assert len(split.heldout) >= 20


def test_another_promise_begins_the_monitor_anew_and_reading_it_does_not(store, workspace):
    registry = ModelRegistry(store, workspace)
    registry.promote(save, FIGURES)
    monitor = make_monitor(store, workspace, Scripted())
    monitor.after(decided(1, "web_search"))
    promises = replace(ALWAYS, promised=0.95)
    kept, anew, same = (read_monitor(store, registry, "hrm@1", one) for one in (None, promises, ALWAYS))
    assert [(one.promised, one.audits) for one in (kept, anew, same)] == [(0.796, 1), (0.95, 0), (0.796, 1)]


def test_a_version_that_took_over_a_part_is_held_to_its_promise_there(store, workspace):
    registry = ModelRegistry(store, workspace)
    registry.promote(save, {**FIGURES, "promised": 0.9})
    assert read_monitor(store, registry, "hrm@1").promised == 0.9
    registry.promote(save, {"interval": [0.0, 1.0]})
    assert read_monitor(store, registry, "hrm@2") is None
