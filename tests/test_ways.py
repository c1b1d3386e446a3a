"""A decision reaches SQLite, and a record a gradient, by the hops that docs/architecture.md lists."""

from __future__ import annotations

import inspect
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

import pytest
from typer.testing import CliRunner

import aegis
from aegis.cli.main import app
from aegis.config import HRMConfig, TrainingConfig
from aegis.config.plan import TrainingPlan
from aegis.lifecycle import open_store, read_workspace_data
from aegis.lifecycle.training.candidate import train_candidate
from aegis.research import RESEARCH_ACTIONS
from aegis.store import DecisionStore
from aegis.testing import ScriptedTeacher
from aegis.training import TrainingHooks
from aegis.types import Action, Decision
from aegis.workspace import Workspace

MOST_HOPS = 12
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)


def hop_of(frame: FrameType) -> str | None:
    """Return a frame's module and function as the docs name them, or None outside the package."""
    path, folder = Path(frame.f_code.co_filename), Path(aegis.__file__).parent
    if not path.is_relative_to(folder):
        return None
    return ".".join([*path.relative_to(folder).with_suffix("").parts, frame.f_code.co_qualname])


def hops_to_here() -> list[str]:
    """Return the package's functions that are being called, from the command on."""
    found = [hop_of(info.frame) for info in reversed(inspect.stack(context=0))]
    hops = [hop for hop in found if hop]
    return hops[next(place for place, hop in enumerate(hops) if hop.endswith(".run")) :]


@pytest.fixture
def recorded(tmp_path, search_index, monkeypatch):
    """Run `aegis run` for one decision; return the hops to the store, and those to the policy."""
    ways, append_many, decide = {}, DecisionStore.append_many, ScriptedTeacher.decide

    def note_append(self, decisions):
        ways["store"] = [*hops_to_here(), "store.decisions.DecisionStore.append_many"]
        return append_many(self, decisions)

    def note_decide(self, states, actions):
        ways["policy"] = [*hops_to_here(), "testing.ScriptedTeacher.decide"]
        return decide(self, states, actions)

    monkeypatch.setattr(DecisionStore, "append_many", note_append)
    monkeypatch.setattr(ScriptedTeacher, "decide", note_decide)
    command = ["run", "--workspace", str(tmp_path / "w"), "--teacher", "scripted", "--decisions", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return ways


def test_a_decision_takes_the_hops_of_the_docs_to_sqlite(recorded, documented_ways):
    assert recorded["store"] == documented_ways["decision"]


def test_the_policy_is_asked_in_at_most_nine_hops_so_that_the_wrappers_of_an_hrm_have_three(recorded):
    assert len(recorded["policy"]) <= MOST_HOPS - 3


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace with 100 decisions of a teacher, the fewest that training accepts."""
    workspace, start = Workspace(tmp_path / "w"), datetime(2026, 1, 1, tzinfo=UTC)
    with open_store(workspace) as store:
        store.claim_teacher("scripted", 0, "a rule")
        for number in range(100):
            place = number % len(RESEARCH_ACTIONS)
            likely = tuple(0.91 if other == place else 0.03 for other in range(len(RESEARCH_ACTIONS)))
            store.append(
                Decision(
                    episode=f"e{number // 10}",
                    step=number % 10,
                    state={"number": number},
                    actions=RESEARCH_ACTIONS.names,
                    action=Action(RESEARCH_ACTIONS.names[place]),
                    probabilities=likely,
                    policy="scripted",
                    decided_at=start + timedelta(minutes=number),
                )
            )
    return workspace


class ArrivedError(Exception):
    """The first batch is learned."""


def test_a_record_takes_the_hops_of_the_docs_to_a_gradient(workspace, documented_ways):
    folder, met = Path(aegis.__file__).parent, []
    names = {hop.split(".")[-1] for hop in documented_ways["gradient"]}

    def note(frame, event, argument):
        if event == "call" and frame.f_code.co_name in names and frame.f_code.co_filename.startswith(str(folder)):
            hop = hop_of(frame)
            if hop in documented_ways["gradient"] and hop not in met:
                met.append(hop)

    def stop_after_the_first_batch(what, done, total):
        if done and what.startswith("Training"):
            raise ArrivedError

    data = read_workspace_data(workspace, default=RESEARCH_ACTIONS)
    before = sys.getprofile()
    threading.setprofile(note)  # the threads that share a batch
    sys.setprofile(note)
    try:
        with pytest.raises(ArrivedError):
            train_candidate(
                data,
                workspace,
                TrainingPlan(TrainingConfig(epochs=1), model=TINY),
                hooks=TrainingHooks(progress=stop_after_the_first_batch),
            )
    finally:
        sys.setprofile(before)
        threading.setprofile(None)
    assert met == documented_ways["gradient"]
