"""A decision's way from the command line to SQLite is short, and no call on it leads back up."""

from __future__ import annotations

import inspect
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

import aegis
from aegis.cli.main import app
from aegis.store import DecisionStore
from aegis.testing import ScriptedTeacher

MOST_HOPS = 12
STOREYS = ("cli", "lifecycle", "agent", "store")
"""Highest first; a decision on its way goes down"""


def hops_to_here() -> list[tuple[str, str]]:
    """Return the package's functions that are being called, as (room, function), the command first."""
    folder, frames = Path(aegis.__file__).parent, inspect.stack(context=0)
    found = [(Path(one.filename), one.function) for one in reversed(frames)]
    hops = [(path.relative_to(folder).parts[0], name) for path, name in found if path.is_relative_to(folder)]
    return hops[next(place for place, (_, name) in enumerate(hops) if name == "run") :]


@pytest.fixture
def recorded(tmp_path, search_index, monkeypatch):
    """Run `aegis run` for one decision; return the hops to the store, and those to the policy."""
    ways, append_many, decide = {}, DecisionStore.append_many, ScriptedTeacher.decide

    def note_append(self, decisions):
        ways["store"] = [*hops_to_here(), ("store", "append_many")]
        return append_many(self, decisions)

    def note_decide(self, states, actions):
        ways["policy"] = [*hops_to_here(), ("testing", "decide")]
        return decide(self, states, actions)

    monkeypatch.setattr(DecisionStore, "append_many", note_append)
    monkeypatch.setattr(ScriptedTeacher, "decide", note_decide)
    command = ["run", "--workspace", str(tmp_path / "w"), "--teacher", "scripted", "--decisions", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return ways


def test_from_the_command_to_sqlite_in_at_most_twelve_hops_and_none_back_up(recorded):
    hops = recorded["store"]
    assert hops[0] == ("cli", "run")
    assert ("agent", "step") in hops
    assert len(hops) <= MOST_HOPS
    storeys = [STOREYS.index(room) for room, _ in hops]
    assert all(below >= above for above, below in pairwise(storeys)), hops


def test_from_the_command_to_the_policy_in_at_most_nine_so_that_the_wrappers_of_an_hrm_have_three_hops(recorded):
    assert len(recorded["policy"]) <= MOST_HOPS - 3
