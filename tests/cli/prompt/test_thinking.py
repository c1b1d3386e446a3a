"""The prompt's `think`: loads in a thread, obeys the session's options, and shows who decides."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import numpy as np
import pytest

from aegis.cli.prompt.command import PromptCommands
from aegis.cli.prompt.thinking import DecisionPreview, Declined
from aegis.cli.session import Session, SessionOptions
from aegis.config import MonitorConfig
from aegis.errors import TeacherError
from aegis.lifecycle import open_store
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.policies.resolver import PolicyResolver
from aegis.lifecycle.rl.reward_comparison import ImprovementState, write_state
from aegis.promotion import ModelRegistry
from aegis.promotion.monitoring.drift import fit_drift, write_drift
from aegis.research import RESEARCH_ACTIONS
from aegis.research.search import SearchChain, SearchHit
from aegis.testing import ScriptedTeacher
from aegis.types import Progress, unheard
from aegis.workspace import Workspace


class SlowSession:
    """Loads a teacher when the test allows it, and keeps the progress function."""

    def __init__(self, folder, fault=None):
        self.workspace = Workspace(folder)
        self.may = threading.Event()
        self.began = threading.Event()
        self.loads = 0
        self.fault = fault
        self.hears: Progress = unheard

    @contextlib.contextmanager
    def shows(self, progress):
        self.hears = progress
        yield

    def make_resolver(self, tell):
        return PolicyResolver(self.workspace, self.load_teacher, tell=tell)

    def load_teacher(self):
        self.loads += 1
        self.hears("Loading a teacher", 1, 2)
        self.began.set()
        assert self.may.wait(60)
        if self.fault:
            raise self.fault
        return ScriptedTeacher()


@pytest.fixture
def session(tmp_path):
    session = SlowSession(tmp_path / "w")
    with open_store(session.workspace):
        pass
    yield session
    session.may.set()


def test_ctrl_c_ends_the_wait_and_the_next_think_gets_the_loaded_policy(session, capsys):
    shown = DecisionPreview(session, lambda question: True)
    # The interrupt comes only once `look` waits; earlier it would hit the test itself.

    def interrupt() -> None:
        if session.began.wait(60):
            os.kill(os.getpid(), signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        shown.look()
    other.join()
    assert "loaded behind the prompt" in capsys.readouterr().out
    session.may.set()
    shown.look()
    assert shown.policy.name == "scripted"
    assert session.loads == 1


def test_a_teacher_that_can_not_be_loaded_is_reported_and_tried_again(session):
    session.may.set()
    session.fault = TeacherError("no such model")
    shown = DecisionPreview(session, lambda question: True)
    for _ in range(2):
        with pytest.raises(TeacherError, match="no such model"):
            shown.look()
    assert session.loads == 2


class Seeing(ScriptedTeacher):
    """An HRM whose representation of a state is the number in the state."""

    actions = RESEARCH_ACTIONS
    kind = "hrm"

    def answer(self, states, actions):
        rows = [choice.probabilities for choice in self.decide(states, actions)]
        return np.array(rows), np.array([[state.get("at", 0.0), 0.1] for state in states], dtype=np.float32)


def save_with_drift(name, folder):
    rng = np.random.default_rng(0)
    write_drift(folder, fit_drift(*(rng.normal(size=(50, 2)).astype(np.float32) for _ in range(2))))


@pytest.fixture
def asked():
    """Return the list of devices and backends with which HRMs are loaded."""
    return []


@pytest.fixture
def preview(tmp_path, monkeypatch, asked):
    """Return a function that previews decisions of a workspace whose HRM searches and whose teacher idles."""

    def prefers(action):
        return lambda state, actions: [5.0 * (name == action) for name in actions.names]

    def load(self, serving, progress):
        asked.append((self._device, self._backend))
        return Seeing(prefers("web_search"), name=serving.name)

    monkeypatch.setattr(VersionLoader, "_load", load)
    monkeypatch.setattr(Session, "load_teacher", lambda self, store: ScriptedTeacher(prefers("idle"), name="gpt2"))

    def make(confirm=True, **monitor):
        workspace = Workspace(tmp_path / "w")
        with open_store(workspace) as store:
            store.claim_teacher("gpt2", 0, "a rule")
            if ModelRegistry(store, workspace).serving() is None:
                ModelRegistry(store, workspace).promote(save_with_drift)
        options = SessionOptions(workspace, device="cpu", backend="eager", monitor=MonitorConfig(**monitor))
        preview = DecisionPreview(Session(options), lambda question: confirm)
        preview.look()
        return preview

    return make


def test_think_loads_the_hrm_once_with_the_sessions_options(preview, asked):
    shown = preview()
    shown.look()
    assert asked == [("cpu", "eager")]


@pytest.mark.parametrize(("quantile", "decides"), [(0.999, "gpt2"), (0.0, "hrm@1")])
def test_think_lets_the_teacher_decide_a_state_out_of_distribution_as_the_agent_does(
    preview, capsys, quantile, decides
):
    shown = preview(drift_quantile=quantile)
    near = shown.show({"at": 0.0}, RESEARCH_ACTIONS)
    assert (near.policy, near.action) == ("hrm@1", "web_search")
    far = shown.show({"at": 50.0}, RESEARCH_ACTIONS)
    assert far.policy == decides
    printed = capsys.readouterr().out
    assert f"<- {decides}" in printed
    header = next(line for line in printed.splitlines() if "gpt2" in line)
    assert header.split() == ["gpt2", "hrm@1"]


def test_a_decision_that_the_person_refuses_is_declined(preview):
    with pytest.raises(Declined):
        preview(confirm=False).show({"at": 0.0}, RESEARCH_ACTIONS)


class OnePage:
    """Finds the same page for every query."""

    name = "fake"

    def search(self, query, limit):
        return [SearchHit("page", "A page tells of it.", "fake", "things")]


@pytest.mark.parametrize("learns", [False, True])
def test_decisions_of_think_have_no_probabilities_while_phase_4_learns(preview, monkeypatch, learns):
    monkeypatch.setattr(Session, "make_search", lambda self: SearchChain([("fake", OnePage())]))
    session = preview()._session
    with open_store(session.workspace) as store:
        write_state(store, ImprovementState("hrm@1", 0, 0) if learns else None)
        PromptCommands(session, store, lambda question: True).carry_out("think")
        (decision,) = store.decisions()
    assert (decision.policy, decision.action.name, decision.propensity) == ("hrm@1", "web_search", None)
    assert (decision.probabilities is None) == learns
