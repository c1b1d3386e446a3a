"""A workspace, a search of ten lines, and a trainer that is a line of Python."""

from __future__ import annotations

import random
import sys

import pytest

from aegis.config import HRMConfig, MonitorConfig, RolloutConfig, RunConfig
from aegis.config.plan import TrainingPlan
from aegis.lifecycle import open_store
from aegis.lifecycle.point import claim_actions
from aegis.research import RESEARCH_ACTIONS
from aegis.research.run import RunHooks, Runner, RunPlan
from aegis.research.search import SearchChain, SearchHit
from aegis.testing import ScriptedTeacher
from aegis.types import Action, Decision
from aegis.workspace import Workspace

ACTIONS = ("web_search", "ask_human", "propose_improvement", "idle")
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)


class FakeSearch:
    """Finds a new passage per search."""

    name = "fake"

    def __init__(self):
        self.count = 0

    def search(self, query, limit):
        self.count += 1
        return [SearchHit(f"page {self.count}", f"Page {self.count} tells of `Thing{self.count}`.", "fake", "things")]


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def fake_search(monkeypatch):
    """Return the class of what an agent searches, the same for all of a test."""
    monkeypatch.setattr(FakeSearch, "search", FakeSearch.search)
    return FakeSearch


@pytest.fixture
def make_search(fake_search):
    return lambda: SearchChain([("fake", fake_search())])


@pytest.fixture
def teacher():
    return ScriptedTeacher()


@pytest.fixture
def make_runner(workspace, make_search, teacher):
    """Return what makes a runner; trainer: Python that is run in place of a training."""

    def make(
        trainer="pass",
        load=None,
        notify=lambda event: None,
        make_search=make_search,
        monitor=None,
        rollout=None,
        **settings,
    ):
        config = RunConfig(**({"interval_seconds": 0.0, "vary_presence": True} | settings))

        def load_teacher(store):
            store.claim_teacher(teacher.name, teacher.parameters, teacher.source)
            return teacher

        training = TrainingPlan(model=TINY, rollout=rollout or RolloutConfig())
        plan = RunPlan(config, training=training, monitor=monitor or MonitorConfig())
        hooks = RunHooks(load or load_teacher, make_search, notify)
        return Runner(workspace, plan, hooks, [sys.executable, "-c", trainer])

    return make


@pytest.fixture
def fill(workspace):
    """Return what records decisions of a teacher whose choice follows from one word of the state."""

    def fill(count, policy="scripted", learnable=True, episode_length=10, seed=0):
        draw = random.Random(seed)
        decisions = []
        for number in range(count):
            action = draw.choice(ACTIONS)
            cue = action if learnable else draw.choice(ACTIONS)
            state = {"cue": f"now {cue.split('_')[0]} please", "number": number}
            likely = tuple(0.91 if name == action else 0.03 for name in ACTIONS)
            episode, step = divmod(number, episode_length)
            decisions.append(
                Decision(f"{policy}-{seed}-{episode}", step, state, ACTIONS, Action(action), likely, policy)
            )
        with open_store(workspace) as store:
            store.claim_teacher("scripted", 0, "a rule, no model")
            claim_actions(store, RESEARCH_ACTIONS)
            store.append_many(decisions)
        return decisions

    return fill
