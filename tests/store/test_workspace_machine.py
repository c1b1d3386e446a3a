"""Whatever is done to a workspace, in whatever order, it holds what a model in memory holds."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aegis.errors import StoreError
from aegis.lifecycle.doctor import examine
from aegis.promotion import ModelRegistry
from aegis.store import Database, DecisionStore
from aegis.store.chain.check import verify
from aegis.types import Action, Decision, Outcome
from aegis.workspace import Workspace

NAMES = ("look", "wait")
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


def write_version(name: str, folder: Path) -> None:
    (folder / "model.safetensors").write_text(name)


class WorkspaceMachine(RuleBasedStateMachine):
    """A workspace on disk beside lists and dictionaries that hold what must be in it."""

    @initialize()
    def make(self):
        self.folder = Path(tempfile.mkdtemp(prefix="aegis-machine-", dir=MEMORY))
        self.workspace = Workspace(self.folder / "workspace")
        self.decisions: dict[str, tuple[str, int, str, dict]] = {}
        self.outcomes: dict[str, tuple[str, float | None]] = {}
        self.versions: list[str] = []
        self.serves: str | None = None
        self.events = 0
        self.open()

    def open(self):
        self.database = Database(self.workspace.database)
        self.store = DecisionStore(self.database)
        self.registry = ModelRegistry(self.store, self.workspace)

    @rule(
        episode=st.sampled_from("ab"),
        policy=st.sampled_from(["rule", "hrm@1"]),
        state=st.dictionaries(st.text(), st.text()),
    )
    def append(self, episode, policy, state):
        self._append(episode, policy, state)

    def _append(self, episode, policy, state):
        last = self.store.last_step(episode)
        step = 0 if last is None else last + 1
        id = f"d{len(self.decisions)}"
        self.store.append(Decision(episode, step, state, NAMES, Action("look"), (0.5, 0.5), policy, id))
        self.decisions[id] = (episode, step, policy, state)

    @rule(count=st.integers(1, 4), fails=st.booleans())
    def append_together(self, count, fails):
        """Append in one transaction, which the last one may undo."""
        before = dict(self.decisions)
        try:
            with self.database.transaction():
                for _ in range(count):
                    self._append("a", "rule", {})
                if fails:
                    self.store.append(Decision("a", 0, {}, NAMES, Action("look"), None, "rule", "d0"))
        except StoreError:
            self.decisions = before

    @precondition(lambda self: self.decisions)
    @rule(place=st.integers(0), status=st.sampled_from(["ok", "failed", "unknown"]), reward=st.floats(-1, 1))
    def record_outcome(self, place, status, reward):
        id = list(self.decisions)[place % len(self.decisions)]
        given = None if status == "unknown" else reward
        self.store.record_outcome(Outcome(id, status, 0, given))
        self.outcomes[id] = (status, given)

    @rule()
    def refuse_an_outcome_of_nothing(self):
        with pytest.raises(StoreError, match="no decision"):
            self.store.record_outcome(Outcome("nobody's", "ok"))

    @rule()
    def train_and_promote(self):
        """Record a training and let its result, a file in place of an HRM, serve."""
        served = self.registry.promote(write_version)
        self.versions.append(served.name)
        self.serves, self.events = served.name, self.events + 1

    @precondition(lambda self: self.versions)
    @rule(place=st.integers(0))
    def promote_again(self, place):
        name = self.versions[place % len(self.versions)]
        self.registry.promote_again(name, "a person", "wanted")
        self.serves, self.events = name, self.events + 1

    @rule()
    def roll_back(self):
        if self.serves is None:
            with pytest.raises(StoreError, match="nothing to roll back"):
                self.registry.roll_back(None, "a person", "wanted")
            return
        name = self.registry.last_good()
        assert name is None or name in self.versions
        self.registry.roll_back(name, "a person", "wanted")
        self.serves, self.events = name, self.events + 1

    @rule()
    def reopen(self):
        self.database.close()
        self.open()

    @rule(undone=st.booleans())
    def kill(self, undone):
        """Go on from the files as they are at this moment, as after a SIGKILL; perhaps within a transaction."""
        copy = self.folder / "killed"
        if undone:
            with pytest.raises(ZeroDivisionError), self.database.transaction() as connection:
                connection.execute("UPDATE tallies SET decisions = 99")
                shutil.copytree(self.workspace.folder, copy)
                raise ZeroDivisionError
        else:
            shutil.copytree(self.workspace.folder, copy)
        self.database.close()
        shutil.rmtree(self.workspace.folder)
        copy.rename(self.workspace.folder)
        (self.workspace.folder / "aegis.db-shm").unlink(missing_ok=True)
        self.open()

    @invariant()
    def holds_what_was_recorded(self):
        found = {}
        for decision, outcome in self.store.examples():
            found[decision.id] = (decision.episode, decision.step, decision.policy, decision.state)
            told = None if outcome is None else (outcome.status, outcome.reward)
            assert told == self.outcomes.get(decision.id)
        assert found == self.decisions
        serving = self.registry.serving()
        assert (serving.name if serving else None) == self.serves
        assert [version.name for version in self.registry.models()] == self.versions
        assert len(self.registry.events()) == self.events

    def teardown(self):
        if not hasattr(self, "database"):
            return
        try:
            assert verify(self.database).fault == ""
            self.database.close()
            assert {one.kind for one in examine(self.workspace)} <= {"sound", "note"}
        finally:
            self.database.close()
            shutil.rmtree(self.folder)


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(2, 12), pytest.param(60, 40, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
    ids=["few", "many"],
)
def test_a_workspace_holds_what_a_model_in_memory_holds(quick_databases, examples, steps):
    given = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(WorkspaceMachine, settings=given)
