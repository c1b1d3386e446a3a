"""What phase 4 keeps and reports of its reference, also under the names of earlier versions."""

from __future__ import annotations

import json

from aegis.lifecycle import open_store, read_standing
from aegis.lifecycle.rl.reward_comparison import ImprovementState, compare_rewards, read_state, write_state
from aegis.store import StateKey


def test_a_state_that_an_earlier_version_wrote_is_read(workspace):
    with open_store(workspace) as store:
        assert read_state(store) is None
        store.state.keep(StateKey.REINFORCEMENT, {"anchor": "hrm@1", "since": 3, "judged_since": 4, "paused_until": 5})
        state = read_state(store)
        assert state == ImprovementState("hrm@1", 3, 4, 5)
        write_state(store, state)
        assert (store.state.record(StateKey.REINFORCEMENT) or {})["reference"] == "hrm@1"
        assert read_state(store) == state


def test_the_evidence_and_the_share_of_the_control_are_kept_with_the_state(workspace):
    state = ImprovementState("hrm@1", 3, 4, 5, evidence=7.5, close=True)
    with open_store(workspace) as store:
        write_state(store, state)
        assert read_state(store) == state
        compared = compare_rewards(store, state)
    assert (compared.evidence, compared.evidence_needed) == (7.5, 20.0)


def test_a_state_that_can_not_be_read_counts_as_none(workspace):
    with open_store(workspace) as store:
        for fields in ({"reference": "hrm@1"}, {"anchor": "hrm@1", "reference": "hrm@1", "other": 1}):
            store.state.keep(StateKey.REINFORCEMENT, fields)
            assert read_state(store) is None


def test_the_status_names_the_reference_also_as_earlier_versions_did(workspace):
    with open_store(workspace) as store:
        write_state(store, ImprovementState("hrm@1", 0, 0))
    improvement = json.loads(json.dumps(read_standing(workspace).to_record()))["improvement"]
    assert improvement["reference"] == improvement["anchor"] == "hrm@1"
    assert improvement["rewards"]["reference_decisions"] == improvement["earning"]["anchor_decisions"] == 0
    assert "reference" in improvement["rewards"]
    assert "anchor" in improvement["earning"]
