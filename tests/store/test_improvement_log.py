from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from aegis.errors import StoreError
from aegis.store import Database, DecisionStore, Drawn, ImprovementLog
from aegis.store.chain.check import verify
from aegis.store.chain.erasure import Wanted, erase, find
from aegis.types import Action, Choice, Decision, DrawnTurn, Outcome

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(path):
    with Database(path) as database:
        yield DecisionStore(database)


def add(store, number, reward, policy="hrm@1", drawn=True):
    episode, step = divmod(number, 4)
    propensity = 0.5 if drawn else None
    decision = Decision(
        f"e{episode}", step, {"n": number}, ("a", "b"), Action("a"), (0.5, 0.5), policy, propensity=propensity
    )
    store.append(decision)
    store.record_outcome(Outcome(decision.id, "unknown" if reward is None else "ok", reward=reward))
    return decision


def test_due_are_decisions_that_hrms_drew_with_a_reward_in_the_order_of_the_rewards(store):
    log = ImprovementLog(store.database)
    late = add(store, 0, None)
    first = add(store, 1, 1.0)
    add(store, 2, 1.0, policy="teacher")
    add(store, 3, 1.0, drawn=False)
    store.record_outcome(Outcome(late.id, "failed", reward=-0.1))
    due = log.due(0, 0)
    assert [one.decision_id for one in due] == [first.id, late.id]
    assert log.due(due[-1].place, 0) == []
    assert [one.decision_id for one in log.due(0, 1)] == [first.id]


def test_a_reward_that_changed_is_due_again(store):
    log = ImprovementLog(store.database)
    proposal = add(store, 0, 1.0)
    place = log.due(0, 0)[-1].place
    store.record_outcome(Outcome(proposal.id, "ok", reward=10.0))
    assert [one.decision_id for one in log.due(place, 0)] == [proposal.id]
    assert len(log.due(0, 0)) == 1


def test_the_newest_rewards_are_those_an_update_learns_from_again(store):
    log = ImprovementLog(store.database)
    decisions = [add(store, number, None if number == 3 else 1.0) for number in range(6)]
    add(store, 6, 1.0, policy="teacher")
    assert [one.decision_id for one in log.newest(3, 0)] == [decisions[number].id for number in (2, 4, 5)]
    assert [one.decision_id for one in log.newest(3, 4)] == [decisions[number].id for number in (4, 5)]
    store.record_outcome(Outcome(decisions[0].id, "ok", reward=10.0))
    assert log.newest(2, 0)[-1].decision_id == decisions[0].id


def test_a_stretch_is_an_episode_from_the_first_decision_due_on(store):
    log = ImprovementLog(store.database)
    decisions = [add(store, number, None if number in (0, 2) else 1.0) for number in range(6)]
    stretches = log.stretches(log.due(0, 0))
    assert [[example.decision.id for example in stretch] for stretch in stretches] == [
        [decision.id for decision in decisions[1:4]],
        [decision.id for decision in decisions[4:]],
    ]
    assert stretches[0][1].outcome.reward is None


def test_updates_are_kept_as_the_curve_of_phase_4(store):
    log = ImprovementLog(store.database)
    assert (log.latest(), log.counts("hrm@1")) == (None, {})
    log.add("hrm@1", "hrm@2", 10, 20, 10, {"mean_reward": 0.5, "loss": 0.1}, NOW)
    log.add("hrm@1", None, 20, 40, 10, {"mean_reward": 0.7, "loss": math.nan, "fault": "its loss is nan"}, NOW)
    log.add("hrm@9", "hrm@10", 30, 60, 10, {"mean_reward": 0.9}, NOW)
    assert [one.model for one in log.all("hrm@1")] == ["hrm@2", None]
    assert log.all("hrm@1")[1].results == {"mean_reward": 0.7, "loss": None, "fault": "its loss is nan"}
    assert (log.latest().base, log.counts("hrm@1")) == ("hrm@9", {"hrm@2": 1, "": 1})


def test_rewards_are_the_newest_known_rewards_of_a_single_hrm_or_of_all_others(store):
    log = ImprovementLog(store.database)
    for number, (reward, policy) in enumerate(
        [(1.0, "hrm@1"), (2.0, "hrm@2"), (3.0, "hrm@1"), (None, "hrm@1"), (4.0, "hrm@3"), (9.0, "teacher")]
    ):
        add(store, number, reward, policy)
    assert log.rewards("hrm@1", 10) == [3.0, 1.0]
    assert log.rewards("hrm@1", 10, others=True) == [4.0, 2.0]
    assert log.rewards("hrm@1", 1) == [3.0]
    assert log.rewards("hrm@1", 10, since=2) == [3.0]


def add_turn(store, number, reward, policy, turn):
    decision = add(store, number, reward, policy)
    ImprovementLog(store.database).note_turn(decision.id, Choice((0.5, 0.5), "a", policy, "hrm", 0.5, turn=turn))
    return decision


def test_drawn_are_the_decisions_of_a_reference_and_newer_hrms_with_their_turns(store):
    log, largest = ImprovementLog(store.database), DrawnTurn(2**63 - 1, 7)
    add(store, 0, 1.0, "hrm@2")  # an earlier version recorded no turn
    add_turn(store, 1, 1.0, "hrm@2", None)
    add_turn(store, 2, 2.0, "hrm@2", DrawnTurn(5, 0))
    add_turn(store, 3, None, "hrm@3", largest)
    add_turn(store, 4, 4.0, "hrm@1", DrawnTurn(5, 0))  # older than the reference
    log.note_turn(add(store, 5, 5.0, "teacher").id, None)
    last = add_turn(store, 6, 6.0, "hrm@3", DrawnTurn(5, 1))
    found = [Drawn(True, 2.0, DrawnTurn(5, 0)), Drawn(False, None, largest), Drawn(False, 6.0, DrawnTurn(5, 1))]
    assert log.drawn("hrm@2", 0) == found
    assert log.drawn("hrm@2", 3) == found[1:]
    assert log.drawn("hrm@2", 0, until=4) == found[:2]
    store.record_outcome(Outcome(last.id, "ok", reward=-1.0))
    assert log.drawn("hrm@2", 4)[0].reward == -1.0


def test_turns_are_not_changed_later_and_are_erased_with_their_decisions(store):
    decision = add_turn(store, 0, 1.0, "hrm@2", DrawnTurn(5, 0))
    with pytest.raises(StoreError, match="append-only"), store.database.transaction() as connection:
        connection.execute("UPDATE turns SET stretch = 1")
    erase(store.database, find(store.database, Wanted(decision=decision.id)))
    assert store.database.query("SELECT * FROM turns") == []
    assert verify(store.database).fault == ""
