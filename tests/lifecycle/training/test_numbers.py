"""A workspace of decisions by numbers: its training fits bins, and the HRM that it writes reads by them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from aegis.config import HRMConfig, TrainingConfig
from aegis.config.plan import TrainingPlan
from aegis.hrm import HRMPolicy
from aegis.lifecycle import open_store, read_workspace_data
from aegis.lifecycle.training.candidate import train_candidate
from aegis.research import RESEARCH_ACTIONS
from aegis.types import Action, Decision
from aegis.workspace import Workspace

TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)


@pytest.fixture
def workspace(tmp_path):
    workspace, start, rng = Workspace(tmp_path / "w"), datetime(2026, 1, 1, tzinfo=UTC), random.Random(0)
    with open_store(workspace) as store:
        store.claim_teacher("scripted", 0, "a rule")
        for number in range(120):
            late = number >= 100  # only the newest decisions, which are held out, have such numbers
            state = {name: rng.gauss(1000 * late, 1) for name in ("speed", "height", "load")}
            action = Action(RESEARCH_ACTIONS.names[number % len(RESEARCH_ACTIONS)])
            at, names = start + timedelta(minutes=number), RESEARCH_ACTIONS.names
            store.append(
                Decision(f"e{number // 10}", number % 10, state, names, action, None, "scripted", decided_at=at)
            )
    return workspace


def test_a_training_of_a_workspace_fits_its_bins_on_training_decisions_and_writes_them_beside_the_weights(
    workspace, tmp_path
):
    data = read_workspace_data(workspace, default=RESEARCH_ACTIONS)
    outcome = train_candidate(data, workspace, TrainingPlan(TrainingConfig(epochs=1), model=TINY))
    codes = outcome.run.policy.codec.codes
    assert codes is not None
    assert sorted(codes.numbers) == ["height", "load", "speed"]
    assert max(max(bounds) for bounds in codes.numbers.values()) < 10
    outcome.save("hrm-0001", tmp_path / "saved")
    saved = HRMPolicy.load(tmp_path / "saved")
    states = [decision.state for decision in data.decisions][:5]
    assert saved.codec == outcome.run.policy.codec
    assert np.array_equal(saved.think(states)[0], outcome.run.policy.think(states)[0])
    assert outcome.to_report()["heldout"]["baseline_fields_words"] == outcome.simple.fields_words
