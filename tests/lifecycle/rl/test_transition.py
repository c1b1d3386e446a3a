"""What an update learns from, out of a workspace's decisions."""

from __future__ import annotations

import pytest

from aegis.lifecycle import open_store
from aegis.lifecycle.rl.transition import gather
from aegis.store import ImprovementLog
from aegis.types import Action, ActionList, ActionSpec, Decision, Outcome

ACTIONS = ActionList(tuple(ActionSpec(name, name, name) for name in ("refund", "escalate", "answer")))


@pytest.fixture
def store(workspace):
    with open_store(workspace) as store:
        yield store


def add(store, episode, step, actions, reward, policy="hrm@1"):
    share = 1 / len(actions)
    likely, propensity = (share,) * len(actions), share if policy.startswith("hrm") else None
    decision = Decision(
        episode, step, {"step": step}, actions, Action(actions[0]), likely, policy, propensity=propensity
    )
    store.append(decision)
    store.record_outcome(Outcome(decision.id, "ok", reward=reward))


def test_a_decision_among_some_of_the_actions_has_no_share_for_the_others(store):
    add(store, "e", 0, ("answer", "refund"), 1.0)
    batch = gather(ImprovementLog(store.database), ACTIONS, 0, 0, 1, 10)
    assert batch is not None
    ((one,),) = batch.trajectories
    assert (one.action, one.probabilities, one.offered) == (2, (0.5, 0.0, 0.5), (True, False, True))


def test_a_decision_among_unknown_actions_teaches_nothing(store):
    add(store, "e", 0, ("answer", "dance"), 1.0)
    add(store, "f", 0, ACTIONS.names, 0.5)
    batch = gather(ImprovementLog(store.database), ACTIONS, 0, 0, 2, 10)
    assert batch is not None
    assert [[one.reward for one in trajectory] for trajectory in batch.trajectories] == [[0.5]]


def test_decisions_without_an_episode_in_common_are_stretches_of_one_step_and_an_episode_keeps_its_order(store):
    for number in range(2):
        add(store, f"alone-{number}", 0, ACTIONS.names, float(number))
    add(store, "e", 0, ACTIONS.names, 2.0)
    add(store, "e", 1, ACTIONS.names, 9.0, policy="teacher")
    add(store, "e", 2, ACTIONS.names, 3.0)
    batch = gather(ImprovementLog(store.database), ACTIONS, 0, 0, 4, 10)
    assert batch is not None
    assert [[one.reward for one in trajectory] for trajectory in batch.trajectories] == [[0.0], [1.0], [2.0, 9.0, 3.0]]
    assert [one.learn for one in batch.trajectories[2]] == [True, False, True]  # the teacher's is no choice of the HRM
