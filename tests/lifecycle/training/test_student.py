"""The choice of the student: by decisions set aside, never by the held-out ones; and what comes after it."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.config import GateConfig, HRMConfig, TrainingConfig
from aegis.config.plan import TrainingPlan
from aegis.errors import ConfigError
from aegis.hrm import LinearPolicy, MixedPolicy
from aegis.hrm.onnx.policy import GRAPH_FILES
from aegis.lifecycle import open_store, read_workspace_data
from aegis.lifecycle.policies.deferring import DeferringPolicy
from aegis.lifecycle.policies.resolver import PolicyResolver
from aegis.lifecycle.rl.version import load_pair
from aegis.lifecycle.training import student
from aegis.lifecycle.training.candidate import train_and_judge, train_candidate
from aegis.lifecycle.training.learning import Learned
from aegis.lifecycle.training.student import StudentChoice
from aegis.promotion import ModelRegistry
from aegis.promotion.monitoring.drift import read_drift
from aegis.research import RESEARCH_ACTIONS
from aegis.testing import ScriptedTeacher
from aegis.training import TrainingHooks
from aegis.types import Action, Decision, State
from aegis.workspace import Workspace

TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
NAMES = RESEARCH_ACTIONS.names
WORDS = ("question", "person", "fault", "nothing")


def fill(folder, decide, count=240):
    """Record decisions: a state by a number, and the place of its action by `decide`."""
    workspace, start, rng = Workspace(folder), datetime(2026, 1, 1, tzinfo=UTC), random.Random(0)
    with open_store(workspace) as store:
        store.claim_teacher("scripted", 0, "a rule")
        for number in range(count):
            state, place = decide(rng)
            at = start + timedelta(minutes=number)
            state = {**state, "number": f"n{number}"}
            action = Action(NAMES[place])
            store.append(
                Decision(f"e{number // 10}", number % 10, state, NAMES, action, None, "scripted", decided_at=at)
            )
    return workspace


def table(rng):
    place = rng.randrange(4)
    return {"about": WORDS[place], "color": rng.choice(("red", "green"))}, place


def parity(rng):
    left, right = rng.choice(("red", "blue")), rng.choice(("hot", "cold"))
    return {"left": left, "right": right}, int((left == "red") == (right == "hot"))


def train(workspace, epochs=1, **settings):
    plan = TrainingPlan(TrainingConfig(**{"epochs": epochs, "student": "auto", **settings}), model=TINY)
    return train_and_judge(read_workspace_data(workspace, default=RESEARCH_ACTIONS), workspace, plan)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a workspace where the linear student serves, and its training's outcome."""
    workspace = fill(tmp_path_factory.mktemp("student") / "w", table)
    return workspace, train(workspace)


def test_the_linear_student_wins_a_table_and_serves(trained):
    workspace, outcome = trained
    choice = outcome.choice
    assert (choice.chosen, choice.linear, outcome.kind) == ("linear", 1.0, "linear")
    assert choice.hrm < 1
    assert outcome.serving.name == "linear@1"
    assert outcome.agreement.accuracy == 1.0
    assert (outcome.thinking, outcome.to_report()["thinking"]) == (None, None)
    with open_store(workspace) as store:
        (version,) = ModelRegistry(store, workspace).models()
        rows = store.database.query("SELECT files FROM models")
    assert version.kind == "linear"
    assert version.figures["student"] == choice.to_record()
    assert {"policy.json", "linear.safetensors", "heldout.json", "drift.safetensors"} <= json.loads(rows[0][0]).keys()


def test_the_choice_reads_no_held_out_decision(trained, monkeypatch):
    workspace, _ = trained
    data = read_workspace_data(workspace, default=RESEARCH_ACTIONS)
    seen = []
    fit, answer = student.fit_linear, student.answer_all

    def note(decisions):
        listed = list(decisions)
        seen.extend(listed)
        return listed

    monkeypatch.setattr(student, "fit_linear", lambda given, *rest: fit(note(given), *rest))
    monkeypatch.setattr(student, "answer_all", lambda policy, asked: answer(policy, note(asked)))
    with pytest.raises(AssertionError, match="judged"):
        _judge_nothing(data, workspace, monkeypatch)
    newest = {f"e{number}" for number in range(18, 24)}  # a quarter of the episodes is held out
    assert seen
    assert not {one.episode for one in seen} & newest


def _judge_nothing(data, workspace, monkeypatch):
    def judged(*given):
        raise AssertionError("judged")

    monkeypatch.setattr("aegis.lifecycle.training.candidate.answer_all", judged)
    plan = TrainingPlan(TrainingConfig(student="auto", epochs=1), model=TINY)
    train_candidate(data, workspace, plan)


def test_the_hrm_learns_from_nothing_that_was_set_aside(trained):
    _, outcome = trained
    assert outcome.train_examples == 180
    assert outcome.choice.development == 40  # a fifth of 180, in whole episodes of ten
    assert outcome.policy.arrays["weights"].shape[1] == 4


@pytest.mark.long
def test_the_hrm_is_kept_where_a_linear_model_can_not_learn(tmp_path):
    workspace = fill(tmp_path / "w", parity, 500)
    outcome = train(workspace, epochs=10, learning_rate=4e-3)
    assert outcome.choice.chosen == "hrm"
    assert outcome.choice.hrm > outcome.choice.linear
    assert outcome.serving.name == "hrm@1"
    assert outcome.policy is outcome.run.policy
    assert outcome.thinking is not None


def test_a_report_counts_what_its_student_learned_from():
    split, development = SimpleNamespace(train=range(180)), SimpleNamespace(train=range(140))
    given: Any = {"run": None, "dataset": None, "codec": None, "split": split, "development": development}
    learned = Learned(**given, seconds=0.0)
    assert (learned.count(is_hrm=True), learned.count(is_hrm=False)) == (140, 180)
    assert replace(learned, development=None).count(is_hrm=True) == 180


def test_the_hrm_is_kept_at_equal_accuracy(trained, monkeypatch):
    workspace, _ = trained
    alike = np.array([[0.7, 0.1, 0.1, 0.1]])
    monkeypatch.setattr(student, "answer_all", lambda policy, asked: alike.repeat(len(list(asked)), axis=0))
    plan = TrainingPlan(TrainingConfig(student="auto", epochs=1), model=TINY)
    outcome = train_candidate(read_workspace_data(workspace, default=RESEARCH_ACTIONS), workspace, plan)
    assert (outcome.choice.chosen, outcome.policy) == ("hrm", outcome.run.policy)


def test_without_the_option_nothing_is_set_aside_or_recorded(trained, monkeypatch):
    workspace, _ = trained
    monkeypatch.setattr(student, "fit_linear", None)  # it would fail
    outcome = train_candidate(
        read_workspace_data(workspace, default=RESEARCH_ACTIONS),
        workspace,
        TrainingPlan(TrainingConfig(epochs=1), model=TINY),
    )
    assert (outcome.choice, outcome.kind) == (None, "hrm")
    assert "student" not in outcome.to_report()
    assert "student" not in outcome.to_figures()


def test_too_few_episodes_leave_the_hrm_and_are_told(trained):
    workspace, _ = trained
    data = read_workspace_data(workspace, default=RESEARCH_ACTIONS)
    every = frozenset(f"e{number}" for number in range(23))
    told = []
    outcome = train_candidate(
        replace(data, chosen_episodes=every),
        workspace,
        TrainingPlan(TrainingConfig(student="auto", epochs=1), model=TINY),
        hooks=TrainingHooks(on_notice=told.append),
    )
    assert outcome.choice is None
    assert [line for line in told if "the HRM is the only candidate" in line]


def test_it_decides_with_the_teacher_behind_it_for_unlike_states(trained):
    workspace, _ = trained
    assert read_drift(workspace.models / "linear@1").states_cut == 0
    with open_store(workspace) as store:
        policy = PolicyResolver(workspace, ScriptedTeacher).resolve(store)
        states: list[State] = [
            {"about": "person", "color": "red", "number": "n1"},
            {"zig": 10**9, "words": "that nobody wrote " * 9},
        ]
        assert isinstance(policy, DeferringPolicy)
        states.append({**states[0], "number": "n1 " * 300})  # it is cut, and none in training was
        like, unlike = policy.policy.decide(states[:2], RESEARCH_ACTIONS)
        cast(Any, policy).policy._bound = float("inf")  # only what is cut is unlike
        whole, cut = policy.policy.decide([states[1], states[2]], RESEARCH_ACTIONS)
    assert (like.policy, like.action, like.out_of_distribution) == ("linear@1", NAMES[1], False)
    assert unlike.out_of_distribution
    assert (whole.out_of_distribution, cut.out_of_distribution) == (False, True)


def test_phase_4_refuses_it_in_one_line(trained):
    workspace, _ = trained
    with pytest.raises(ConfigError, match="linear@1 is logistic regression on fields and words, and phase 4"):
        load_pair(workspace.models / "linear@1", "cpu")
    result = CliRunner().invoke(app, ["improve", "--workspace", str(workspace.folder)])
    assert result.exit_code == 2
    assert "phase 4 improves an HRM alone" in result.output


def test_commands_say_what_serves(trained, tmp_path):
    workspace, _ = trained
    folder = str(workspace.folder)
    status = CliRunner().invoke(app, ["status", "--workspace", folder]).output
    assert "Phase 3: Switch (done: linear@1 decides next)" in status
    assert "Using HRM: No (using linear@1, logistic regression on fields and words)" in status
    models = CliRunner().invoke(app, ["models", "--workspace", folder]).output
    assert "logistic regression on fields and words, chosen by 40 decisions set aside: HRM " in models
    (tmp_path / "out" / "onnx").mkdir(parents=True)
    for name in ("check.json", "linear.json", "onnx/check.json"):  # of an earlier export, of both together
        (tmp_path / "out" / name).write_text("{}")
    exported = CliRunner().invoke(app, ["export", str(tmp_path / "out"), "--onnx", "--workspace", folder])
    assert "linear@1 written to" in exported.output
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["check.json", "linear.safetensors", "policy.json"]
    states = [{"about": word} for word in WORDS]
    found = LinearPolicy.load(tmp_path / "out").decide(states, RESEARCH_ACTIONS)
    assert [choice.action for choice in found] == list(NAMES)


def test_a_damaged_file_is_named_and_the_teacher_decides(tmp_path):
    workspace = fill(tmp_path / "w", table)
    assert train(workspace).serving.name == "linear@1"
    path = workspace.models / "linear@1" / "linear.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    told = []
    with open_store(workspace) as store:
        policy = PolicyResolver(workspace, ScriptedTeacher, tell=told.append).resolve(store)
        assert ModelRegistry(store, workspace).serving() is None
    assert policy.name == ScriptedTeacher().name
    assert "linear@1: linear.safetensors is not the file that was judged: its SHA-256 has changed" in told[0]


def test_a_promised_agreement_is_certified_for_it_as_for_an_hrm(trained):
    workspace, _ = trained
    training, gate = TrainingConfig(student="auto", epochs=1), GateConfig(agreement=0.5)
    data = read_workspace_data(workspace, default=RESEARCH_ACTIONS)
    outcome = train_candidate(data, workspace, TrainingPlan(training, gate, TINY))
    assert outcome.kind == "linear"
    assert outcome.verdict.passed
    assert (outcome.promised, outcome.certificate.share) == (0.5, 1.0)


def test_both_together_are_chosen_where_they_err_at_different_decisions(monkeypatch):
    decisions = [Decision(f"e{n}", 0, {}, NAMES, Action(NAMES[n % 4]), None, "t") for n in range(8)]
    sure = np.eye(4)[[n % 4 for n in range(8)]] * 0.6 + 0.1
    wrong = np.full((8, 4), 0.2) + 0.2 * np.eye(4)[[(n + 1) % 4 for n in range(8)]]
    odd = (np.arange(8) % 2 == 1)[:, None]
    answers = {"own": np.where(odd, sure, wrong), "other": np.where(odd, wrong, sure)}
    monkeypatch.setattr(student, "answer_all", lambda policy, asked: answers[policy.label])
    own, other = (cast(Any, SimpleNamespace(label=label, actions=RESEARCH_ACTIONS)) for label in answers)
    choice = student.compare_students(own, other, decisions)
    assert (choice.chosen, choice.hrm, choice.linear, choice.mixed, choice.share) == (
        "mixed",
        0.5,
        0.5,
        1.0,
        choice.share,
    )
    assert choice.to_record()["mixed"] == 1.0
    assert choice.describe() == "mixed: of 8 set aside the HRM 50.0%, linear 50.0%, both together 100.0%"


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Return a workspace where both together serve, and its training's outcome."""
    workspace = fill(tmp_path_factory.mktemp("mixed") / "w", table)
    return workspace, train(workspace, student="mixed")


def test_both_together_serve_as_one_version(together):
    workspace, outcome = together
    assert (outcome.kind, outcome.serving.name, outcome.thinking, outcome.choice) == ("mixed", "mixed@1", None, None)
    assert (outcome.train_examples, outcome.policy.share) == (180, 0.25)
    assert outcome.policy.hrm is outcome.run.policy
    assert outcome.policy.parameters == outcome.run.policy.parameters + outcome.policy.linear.parameters
    with open_store(workspace) as store:
        kept = json.loads(store.database.query("SELECT files FROM models")[0][0])
        policy = PolicyResolver(workspace, ScriptedTeacher).resolve(store)
        state = {"about": "person", "color": "red", "number": "n1"}
        cast(Any, policy).policy._bound = float("inf")  # only what is cut is unlike
        choice, cut = policy.decide([state, {**state, "number": "n1 " * 300}], RESEARCH_ACTIONS)
    assert (cut.kind, cut.deferred) == ("teacher", "unlike")
    assert {"policy.json", "model.safetensors", "linear.json", "linear.safetensors", "drift.safetensors"} <= kept.keys()
    assert (choice.policy, choice.version_kind, choice.action) == ("mixed@1", "mixed", NAMES[1])
    with pytest.raises(ConfigError, match="mixed@1 is HRM and logistic regression together, and phase 4"):
        load_pair(workspace.models / "mixed@1", "cpu")


def test_commands_show_and_export_both_together(together, tmp_path):
    folder = str(together[0].folder)
    models = CliRunner().invoke(app, ["models", "--workspace", folder]).output
    assert "HRM and logistic regression together" in models
    status = CliRunner().invoke(app, ["status", "--workspace", folder]).output
    assert "Using HRM: Yes (using mixed@1, HRM and logistic regression together)" in status
    assert re.search(r"Held-out accuracy: \d.*% by the HRM alone; judged: HRM and logistic regression together", status)
    graphs = set(chain(*GRAPH_FILES.values()))
    (tmp_path / "out").mkdir()
    for name in ("check.json", *graphs):  # of an earlier export, of an HRM alone
        (tmp_path / "out" / name).write_bytes(b"{}")
    exported = CliRunner().invoke(app, ["export", str(tmp_path / "out"), "--onnx", "--workspace", folder])
    assert "mixed@1 written to" in exported.output, exported.output
    assert graphs.isdisjoint(path.name for path in (tmp_path / "out").iterdir())
    states = [{"about": word} for word in WORDS]
    found = MixedPolicy.load(tmp_path / "out").answer(states, RESEARCH_ACTIONS)[0]
    assert found == pytest.approx(together[1].policy.answer(states, RESEARCH_ACTIONS)[0], abs=1e-3)


def test_auto_lets_both_together_serve_and_says_by_what(tmp_path, monkeypatch):
    chosen = StudentChoice("mixed", 40, 0.5, 0.6, 0.7, 0.25)
    monkeypatch.setattr(student, "compare_students", lambda hrm, linear, aside: chosen)
    workspace = fill(tmp_path / "w", table)
    outcome = train(workspace)
    assert (outcome.kind, outcome.serving.name, outcome.policy.share) == ("mixed", "mixed@1", 0.25)
    models = CliRunner().invoke(app, ["models", "--workspace", str(workspace.folder)]).output
    assert "chosen by 40 decisions set aside: HRM 50.0%, linear 60.0%, both together 70.0%" in " ".join(models.split())
