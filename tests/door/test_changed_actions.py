"""Actions that are added, renamed and retired after an HRM has learned: it goes on deciding by what it learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aegis.config import HRMConfig, MonitorConfig, ReinforceConfig
from aegis.door import Decider, DeciderConfig
from aegis.door.given import make_actions
from aegis.errors import ConfigError
from aegis.hrm import HRM, HRMPolicy, StateCodec
from aegis.lifecycle import open_store
from aegis.lifecycle.training.data import read_workspace_data
from aegis.promotion import ModelRegistry
from aegis.types import Action, Decision

OLD = ["refund", "escalate", "answer"]
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
CONFIG = DeciderConfig(monitor=MonitorConfig(audit_rate=0.0))
STATES = [{"ticket": f"order {number} is late"} for number in range(6)]


def teacher(state, actions):
    return actions[0]


@pytest.fixture
def start(tmp_path):
    """Return what starts the agent's program with a list of actions, and what it says of earlier ones."""
    running = []

    def start(actions, config=CONFIG, **changes):
        for decider in running:
            decider.close()
        running.append(Decider("tickets", actions, teacher, workspace=tmp_path, config=replace(config, **changes)))
        return running[-1]

    yield start
    for decider in running:
        decider.close()


@pytest.fixture
def served(start):
    """Return `start` at a point that an HRM decides, and each action's probability in each state."""
    decider = start(OLD)
    names = tuple(OLD)
    made = [
        Decision(f"e{number}", 0, {"ticket": f"order {number}"}, names, Action(OLD[number % 3]), None, "teacher")
        for number in range(120)  # their held-out part checks an export
    ]
    torch.manual_seed(3)
    policy = HRMPolicy(HRM(TINY), StateCodec(48), make_actions(OLD))
    with open_store(decider.workspace) as store:
        store.append_many(made)
        ModelRegistry(store, decider.workspace).promote(policy.save_as)
    return start, [one.probabilities for one in policy.decide(STATES, make_actions(OLD))]


def shares(row):
    return [one / sum(row) for one in row]


@pytest.mark.parametrize("backend", ["eager", "onnx"])
def test_an_hrm_goes_on_with_what_it_learned_when_actions_change(served, backend):
    start, before = served
    start(OLD, backend=backend).decide(STATES[0])  # ONNX: the graphs, without the new action
    decider = start(
        ["answer", "reimburse", "wait"], backend=backend, renamed={"refund": "reimburse"}, retired=["escalate"]
    )
    for state, old in zip(STATES, before, strict=True):
        decided = decider.decide(state)
        assert decided.policy == "hrm@1"
        assert set(decided.probabilities) == {"answer", "reimburse", "wait"}
        assert 0 < decided.probabilities["wait"] < 1
        kept = shares([decided.probabilities["reimburse"], decided.probabilities["answer"]])
        assert kept == pytest.approx(shares([old[0], old[2]]), abs=1e-4)


def test_the_earlier_program_runs_on_beside_the_new_one_and_is_refused_when_it_starts_anew(served, tmp_path):
    start, _ = served
    new = ["reimburse", "escalate", "answer"]
    with Decider("tickets", OLD, teacher, workspace=tmp_path, config=CONFIG) as earlier:
        later = start(new, renamed={"refund": "reimburse"})
        for decider, names in ((earlier, OLD), (later, new)) * 2:
            decided = decider.decide(STATES[0])
            assert (decided.policy, list(decided.probabilities)) == ("hrm@1", names)
        with open_store(later.workspace) as store:
            assert {one.decision.actions for one in store.recent(4)} == {tuple(new)}
    with pytest.raises(ConfigError, match="'refund' was renamed to 'reimburse': use the new name"):
        start(OLD)


def test_what_is_never_explored_follows_a_new_name_and_an_unknown_name_is_refused(served):
    start, _ = served
    decider = start(
        ["answer", "reimburse"], renamed={"refund": "reimburse"}, explore=0.5, never_explored=["refund", "answer"]
    )
    assert decider.decide(STATES[0]).propensity is None  # nothing is left to try
    with pytest.raises(ConfigError, match="never_explored: refnd is no action here: there are answer, escalate"):
        start(["answer", "reimburse"], explore=0.5, never_explored=["refnd"])


def test_what_phase_4_may_not_unlearn_follows_a_new_name_and_an_unknown_name_is_refused(served):
    start, before = served
    kept = [OLD[row.index(max(row))] for row in before]
    reinforce = ReinforceConfig(
        keep=tuple(f"{name} where ticket={state['ticket']}" for name, state in zip(kept, STATES, strict=True))
    )
    decider = start(["answer", "reimburse", "escalate"], renamed={"refund": "reimburse"}, reinforce=reinforce)
    taken = [decider.decide(state) for state in STATES]
    assert [one.propensity for one in taken] == [None] * len(STATES)
    assert [one.action for one in taken] == ["reimburse" if name == "refund" else name for name in kept]
    with pytest.raises(ConfigError, match=r"reinforce\.keep: refnd is no action here"):
        start(["answer", "reimburse"], reinforce=ReinforceConfig(keep=("refnd",)))


def test_a_training_reads_the_present_names_without_what_was_retired(start):
    decider = start(OLD)
    for number, action in enumerate(["refund", "escalate", "answer", "refund"]):
        decider.record({"n": number}, action)
    decider.record({"n": 4}, "refund", offered=["refund", "escalate"])
    decider = start(["reimburse", "answer", "wait"], renamed={"refund": "reimburse"}, retired=["escalate"])
    decider.record({"n": 5}, "wait")
    data = read_workspace_data(decider.workspace)
    assert data.actions.names == ("reimburse", "answer", "wait")
    assert [one.action.name for one in data.decisions] == ["reimburse", "answer", "reimburse", "reimburse", "wait"]
    assert [one.actions for one in data.decisions][2:4] == [("reimburse", "answer"), ("reimburse",)]
    assert len(data.decisions) == 5
    assert data.decisions[3] == list(data.decisions)[3]


@pytest.mark.usefixtures("served")
def test_a_new_action_in_the_place_of_a_retired_one_is_told_of(tmp_path):
    told = []

    def start(actions, **changes):
        config = replace(CONFIG, **changes)
        with Decider("tickets", actions, teacher, workspace=tmp_path, config=config, notify=told.append):
            pass
        return [event.message for event in told if "retired now" in event.message]

    assert start([*OLD, "call"]) == []
    (line,) = start(["refund", "answer", "call"], retired=["escalate"])
    assert line.startswith("hrm@1 has learned escalate, retired now, and nothing of call: it may take a new action")
    assert "`aegis rollback` lets the teacher decide" in line
