"""One resolver says which policy decides now: its answers, and that all three doors ask it."""

from __future__ import annotations

import random
import time
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.cli.prompt.thinking import DecisionPreview
from aegis.cli.session import Session, SessionOptions
from aegis.config import MonitorConfig, ReinforceConfig, RunConfig
from aegis.errors import ChangedModelError, CheckpointError, ConfigError, TeacherError
from aegis.lifecycle import open_store
from aegis.lifecycle.policies import resolver as resolver_module
from aegis.lifecycle.policies.deferring import DeferringPolicy
from aegis.lifecycle.policies.exploration import Exploration
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.policies.resolver import PolicyResolver, ResolverOptions
from aegis.promotion import ModelRegistry
from aegis.promotion.judging.calibration import with_temperature
from aegis.promotion.monitoring.drift import fit_drift, write_drift
from aegis.research import RESEARCH_ACTIONS
from aegis.research.run.data import shipped_heldout
from aegis.testing import ScriptedTeacher

FAR = {"at": 50.0}


class Seeing(ScriptedTeacher):
    """An HRM that represents a state by the number in it."""

    actions = RESEARCH_ACTIONS
    kind = "hrm"

    def answer(self, states, actions):
        rows = [choice.probabilities for choice in self.decide(states, actions)]
        return np.array(rows), np.array([[state.get("at", 0.0), 0.1] for state in states], dtype=np.float32)


def save(name, folder):
    rng = np.random.default_rng(0)
    write_drift(folder, fit_drift(*(rng.normal(size=(50, 2)).astype(np.float32) for _ in range(2))))


@pytest.fixture
def store(workspace):
    with open_store(workspace) as store:
        store.claim_teacher("scripted", 0, "a rule, no model")
        yield store


@pytest.fixture
def loaded(monkeypatch):
    """Let every version be a rule; return what was loaded, with the device and the backend."""
    loaded = []

    def load(self, serving, progress):
        loaded.append((serving.name, self._device, self._backend))
        progress(f"Loading {serving.name}", 0, 0)
        return Seeing(name=serving.name)

    monkeypatch.setattr(VersionLoader, "_load", load)
    return loaded


def test_the_teacher_decides_until_an_hrm_serves_and_again_after_a_roll_back(workspace, store, loaded):
    teachers = []

    def load_teacher():
        teachers.append(ScriptedTeacher())
        return teachers[-1]

    resolver, registry = PolicyResolver(workspace, load_teacher), ModelRegistry(store, workspace)
    assert (resolver.resolve(store).name, resolver.serving) == ("scripted", None)
    registry.promote(save)
    assert (resolver.resolve(store).name, resolver.serving) == ("hrm@1", "hrm@1")
    registry.promote(save)
    assert resolver.resolve(store).name == "hrm@2"
    registry.roll_back(None, "ada", "odd answers")
    assert resolver.resolve(store) is teachers[0]
    assert resolver.serving is None
    assert len(teachers) == 1
    assert [name for name, *_ in loaded] == ["hrm@1", "hrm@2"]


def test_a_version_that_still_serves_is_not_loaded_again(workspace, store, loaded):
    ModelRegistry(store, workspace).promote(save)
    resolver = PolicyResolver(workspace, ScriptedTeacher, ResolverOptions("cpu", "eager"))
    assert resolver.resolve(store) is resolver.resolve(store)
    assert loaded == [("hrm@1", "cpu", "eager")]


def test_the_hrm_that_serves_is_loaded_in_the_background_and_then_decides(workspace, store, loaded):
    serving = ModelRegistry(store, workspace).promote(save)
    resolver, deadline = PolicyResolver(workspace, ScriptedTeacher), time.monotonic() + 60
    while (policy := resolver.follow(serving)) is None:
        assert resolver.serving is None
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert (policy.name, resolver.serving) == ("hrm@1", "hrm@1")
    assert resolver.resolve_teacher() == "hrm@1"
    assert resolver.resolve_teacher() is None
    resolver.close()


def test_a_version_that_fails_to_load_in_the_background_is_told_once_and_in_the_foreground_raises(
    workspace, store, monkeypatch
):
    def load(self, serving, progress):
        raise CheckpointError("torn weights")

    monkeypatch.setattr(VersionLoader, "_load", load)
    serving = ModelRegistry(store, workspace).promote(save)
    resolver, deadline = PolicyResolver(workspace, ScriptedTeacher), time.monotonic() + 60
    while not (failure := resolver.take_failure()):
        assert resolver.follow(serving) is None
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert str(failure) == "torn weights"
    assert resolver.take_failure() is None
    with pytest.raises(CheckpointError, match="torn weights"):
        resolver.resolve(store)


@pytest.mark.parametrize("at", ["loaded now", "loaded beside"])
def test_a_version_with_a_changed_byte_does_not_decide_and_the_one_before_it_takes_over(workspace, store, loaded, at):
    registry, told = ModelRegistry(store, workspace), []
    registry.promote(save)
    serving = registry.promote(save)
    with (serving.folder / "drift.safetensors").open("r+b") as file:
        file.seek(200)
        byte = file.read(1)
        file.seek(200)
        file.write(bytes([byte[0] ^ 1]))
    resolver, deadline = PolicyResolver(workspace, ScriptedTeacher, tell=told.append), time.monotonic() + 60
    if at == "loaded now":
        assert resolver.resolve(store).name == "hrm@1"
    else:
        while not isinstance(failure := resolver.take_failure(), ChangedModelError):
            assert resolver.follow(serving) is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        resolver.withdraw(store, serving, failure)
        resolver.withdraw(store, serving, failure)  # a second process does nothing
        resolver.close()
    assert [line.split(": put back")[0] for line in told] == [
        "hrm@2: drift.safetensors is not the file that was judged: its SHA-256 has changed"
    ]
    assert told[0].endswith("; hrm@1 decides instead")
    assert registry.serving().name == "hrm@1"
    event = registry.events()[-1]
    assert (event.kind, event.previous, event.who) == ("rolled_back", "hrm@2", "integrity")
    assert "hrm@2" not in [name for name, *_ in loaded]


def test_where_every_version_is_changed_or_gone_the_teacher_decides(workspace, store, loaded):
    registry = ModelRegistry(store, workspace)
    for _ in range(2):
        (registry.promote(save).folder / "drift.safetensors").unlink()
    assert PolicyResolver(workspace, ScriptedTeacher).resolve(store).name == "scripted"
    assert registry.serving() is None
    assert "can't be read (No such file or directory)" in registry.events()[-1].reason


def test_a_version_of_before_the_hashes_decides(workspace, store, loaded):
    serving = ModelRegistry(store, workspace).promote(save)
    with store.database.transaction() as connection:
        connection.execute("UPDATE models SET files = '{}'")
    (serving.folder / "drift.safetensors").unlink()
    assert PolicyResolver(workspace, ScriptedTeacher).resolve(store).name == "hrm@1"


def test_while_phase_4_draws_the_hrm_is_as_sure_as_before(workspace, store, loaded, monkeypatch):
    ModelRegistry(store, workspace).promote(save)
    monkeypatch.setattr(resolver_module, "read_answers", lambda folder: SimpleNamespace(temperature=2.0))
    exploration = Exploration(ReinforceConfig(temperature=0.25), random.Random(0), "eager")
    sure = []
    for explored in (None, exploration):
        options = ResolverOptions(defer_below=0.01)
        policy = PolicyResolver(workspace, ScriptedTeacher, options, exploration=explored).resolve(store)
        (choice,) = policy.decide([{"at": 0.0}], RESEARCH_ACTIONS)
        assert isinstance(policy, DeferringPolicy)
        assert choice.drawn == (explored is not None)
        sure.append(with_temperature(np.array([choice.probabilities]), policy.temperature).tolist())
    assert sure[0] == [pytest.approx(row) for row in sure[1]]


def test_a_state_out_of_distribution_goes_to_the_teacher_whose_failure_is_told_once(workspace, store, loaded):
    ModelRegistry(store, workspace).promote(save)
    policy = PolicyResolver(workspace, ScriptedTeacher).resolve(store)
    assert policy.decide([FAR], RESEARCH_ACTIONS)[0].policy == "scripted"
    told = []

    def fail():
        raise TeacherError("no such model here")

    policy = PolicyResolver(workspace, fail, tell=told.append).resolve(store)
    for _ in range(2):
        assert policy.decide([FAR], RESEARCH_ACTIONS)[0].policy == "hrm@1"
    (line,) = told
    assert line == "a state is unlike those in training and the teacher can't decide it: no such model here"


def test_without_an_hrm_a_bound_of_confidence_has_no_effect_and_the_resolver_says_so(workspace, store):
    told = []
    PolicyResolver(workspace, ScriptedTeacher, ResolverOptions(defer_below=0.8), tell=told.append).resolve(store)
    assert told == ["no HRM serves: the teacher decides everything, whatever --defer-below says"]


@pytest.mark.parametrize(
    ("options", "said"), [({"drift_quantile": 1.0}, "--drift-quantile"), ({"defer_below": 1.5}, "--defer-below")]
)
def test_an_option_that_is_no_share_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        ResolverOptions(**options)


@pytest.fixture
def resolvers(monkeypatch):
    """Return the options of every resolver that is made."""
    made, make = [], PolicyResolver.__init__

    def note(self, workspace, load_teacher, options=None, **rest):
        made.append(options)
        make(self, workspace, load_teacher, options, **rest)

    monkeypatch.setattr(PolicyResolver, "__init__", note)
    return made


def run_by_command(workspace):
    command = ["run", "--workspace", str(workspace.folder), "--decisions", "1", "--teacher", "scripted", "--device",
               "cpu", "--backend", "eager", "--drift-quantile", "0.9", "--audit-rate", "0"]  # fmt: skip
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output


def start(workspace):
    make_session(workspace, decisions=1)._make_runner().run()


def think(workspace):
    DecisionPreview(make_session(workspace), lambda question: True).look()


def make_session(workspace, decisions=None):
    options = SessionOptions(
        workspace, "scripted", device="cpu", backend="eager", monitor=MonitorConfig(0.0, drift_quantile=0.9),
        run=RunConfig(max_decisions=decisions, interval_seconds=0.0), reinforce=None,
    )  # fmt: skip
    return Session(options)


@pytest.mark.parametrize("door", [run_by_command, start, think])
def test_all_three_doors_ask_the_resolver_with_the_device_the_backend_and_the_drift_guard(
    workspace, store, loaded, resolvers, search_index, door
):
    ModelRegistry(store, workspace).promote(save)
    door(workspace)
    assert resolvers == [ResolverOptions("cpu", "eager", 0.9, otherwise=shipped_heldout)]
    assert loaded == [("hrm@1", "cpu", "eager")]
