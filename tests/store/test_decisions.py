from __future__ import annotations

import signal
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import Literal

import pytest

from aegis.errors import DataError, StoreError, TeacherMismatchError
from aegis.store import Database, DecisionStore
from aegis.store.chain.check import verify
from aegis.types import Action, Outcome

APPEND = """
import sys
from aegis.store import Database, DecisionStore
from aegis.store.chain.check import verify
from aegis.types import Action, Decision, Outcome
path, episode, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Database(path) as database:
    store = DecisionStore(database)
    print("ready", flush=True)
    sys.stdin.readline()
    for step in range(count):
        decision = Decision(episode, step, {"x": "y" * 500}, ("a", "b"), Action("a"), None, "gpt2")
        store.append(decision)
        print(decision.id, flush=True)
        if len(sys.argv) > 4:
            store.record_outcome(Outcome(decision.id, "ok", gained=step))
"""


def start_appending(start_python, *arguments):
    process = start_python(APPEND, *arguments)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def test_a_decision_comes_back_equal_with_its_current_outcome(store, make_decision):
    decision = make_decision(state={"key": "中文 \x00 \U0001f600 \ud83d", "deep": {"a": [1, 2.5, True, None]}})
    store.append(decision)
    assert list(store.examples()) == [(decision, None)]
    unknown = Outcome(decision.id, "unknown", detail="waiting")
    answered = Outcome(decision.id, "ok", gained=2, reward=2.0, detail="two pages", result={"hits": ["a", "b"]})
    store.record_outcome(unknown)
    assert list(store.examples()) == [(decision, unknown)]
    store.record_outcome(answered)
    assert list(store.examples()) == [(decision, answered)] == [store.get(decision.id)]
    assert store.database.query("SELECT COUNT(*) FROM outcomes")[0][0] == 2


def test_two_processes_append_and_nothing_is_lost_and_nothing_doubled(path, start_python):
    Database(path).close()
    processes = [start_appending(start_python, path, f"e{n}", 300, "outcomes too") for n in range(2)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    acknowledged = []
    for process in processes:
        printed, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        acknowledged += printed.split()
    with Database(path) as database:
        examples = list(DecisionStore(database).examples())
    recorded = [example.decision for example in examples]
    assert all(example.outcome.gained == example.decision.step for example in examples)
    assert len(acknowledged) == 600
    assert sorted(d.id for d in recorded) == sorted(acknowledged)
    assert sorted((d.episode, d.step) for d in recorded) == [(f"e{n}", step) for n in range(2) for step in range(300)]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_process_killed_while_it_appends_loses_nothing_acknowledged(path, start_python):
    for round_number in range(3):
        process = start_appending(start_python, path, f"e{round_number}", 100_000)
        process.stdin.write("go\n")
        process.stdin.flush()
        acknowledged = [process.stdout.readline().strip() for _ in range(20 + 7 * round_number)]
        process.kill()
        acknowledged += [line for line in process.stdout.read().splitlines() if len(line) == 32]
        assert process.wait() == -signal.SIGKILL
        with Database(path) as database:
            store = DecisionStore(database)
            recorded = [d for d in store.decisions() if d.episode == f"e{round_number}"]
            assert [d.id for d in recorded[: len(acknowledged)]] == acknowledged
            assert len(recorded) <= len(acknowledged) + 2
            assert store.last_step(f"e{round_number}") == len(recorded) - 1
            assert verify(database).fault == ""


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET action = 'idle'",
        "UPDATE OR REPLACE decisions SET id = 'x'",
        "DELETE FROM decisions",
        "INSERT OR REPLACE INTO decisions SELECT * FROM decisions",
        "INSERT OR REPLACE INTO decisions"
        " (seq, id, episode, step, state, actions, action, argument, policy, decided_at)"
        " SELECT seq, 'x', 'x', 9, state, actions, action, argument, policy, decided_at FROM decisions",
        "UPDATE outcomes SET status = 'ok', reward = 1",
        "DELETE FROM outcomes",
        "INSERT OR REPLACE INTO outcomes SELECT * FROM outcomes",
    ],
)
def test_the_database_refuses_every_change_of_what_is_recorded_from_any_program(store, path, make_decision, statement):
    decision = make_decision()
    store.append(decision)
    store.record_outcome(Outcome(decision.id, "unknown"))
    before = list(store.examples())
    # Another program can't insert at all: it lacks the function that chains a row.
    refused = pytest.raises(sqlite3.Error, match=r"append-only|no such function: aegis_chain")
    with closing(sqlite3.connect(path)) as foreign, refused:
        foreign.execute(statement)
    with pytest.raises(StoreError, match="append-only"), store.database.transaction() as connection:
        connection.execute(statement)
    assert list(store.examples()) == before


def test_an_id_or_a_step_recorded_already_is_refused_and_named(store, make_decision):
    first = make_decision(0)
    store.append(first)
    with pytest.raises(StoreError, match=f"decision '{first.id}' is recorded already"):
        store.append(make_decision(1, id=first.id))
    with pytest.raises(StoreError, match=rf"step 0 of episode 'e1' is recorded already.*{first.id}.*last_step"):
        store.append(make_decision(0))
    assert list(store.decisions()) == [first]


def test_many_decisions_are_appended_all_or_none(store, make_decision):
    assert store.append_many([make_decision(0), make_decision(1)]) == 2
    with pytest.raises(StoreError, match="step 1"):
        store.append_many([make_decision(2), make_decision(1)])
    assert store.count() == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"state": {"x": float("nan")}}, "state can't be written as JSON"),
        ({"state": {"x": object()}}, "state can't be written as JSON"),
        ({"state": ["a list"]}, "state must be a JSON object, not list"),
        ({"step": -1}, "step: -1 must be a whole number"),
        ({"step": 2**63}, "step: .* must be a whole number"),
        ({"episode": "half \ud83d"}, "episode: .*surrogate"),
        ({"action": Action("idle", {"action": "web_search"})}, "other names than 'action'"),
    ],
)
def test_a_decision_that_json_cannot_hold_is_refused_and_named(store, make_decision, fields, said):
    with pytest.raises(DataError, match=said):
        store.append(make_decision(**fields))
    assert store.count() == 0


def test_an_outcome_without_a_decision_is_refused(store):
    with pytest.raises(StoreError, match="no decision 'nobody'"):
        store.record_outcome(Outcome("nobody", "ok"))


def test_a_broken_character_in_a_detail_does_not_lose_the_outcome(store, make_decision):
    decision = make_decision()
    store.append(decision)
    store.record_outcome(Outcome(decision.id, "failed", detail="half \ud83d", result={"text": "half \ud83d"}))
    outcome = store.get(decision.id).outcome
    assert (outcome.detail, outcome.result) == ("half ?", {"text": "half \ud83d"})


def test_times_are_kept_in_utc_and_a_time_without_a_zone_is_taken_as_utc(store, make_decision):
    store.append(make_decision(0, decided_at=datetime.fromisoformat("2026-01-31T14:00:00+02:00")))
    store.append(make_decision(1, decided_at=datetime.fromisoformat("2026-01-31T12:00:00")))
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert [d.decided_at for d in store.decisions()] == [noon, noon]
    texts = [row[0] for row in store.database.query("SELECT decided_at FROM decisions")]
    assert texts == ["2026-01-31T12:00:00+00:00"] * 2


def test_counts_means_and_policies(store, make_decision):
    assert (store.count(), store.action_counts(), store.mean_gained(), store.last_step("e1")) == (0, {}, None, None)
    idle = Action("idle")
    decisions = [make_decision(0), make_decision(1), make_decision(2, action=idle, policy="hrm@1")]
    decisions.append(make_decision(3, action=idle, policy="hrm@1"))
    store.append_many(decisions)
    statuses: tuple[Literal["ok", "failed", "unknown"], ...] = ("ok", "failed", "unknown")
    for decision, status, gained in zip(decisions, statuses, (3, 0, 0), strict=False):
        store.record_outcome(Outcome(decision.id, status, gained=gained))
    assert (store.count(), store.count("hrm@1"), store.count("nobody")) == (4, 2, 0)
    assert store.action_counts("gpt2") == {"web_search": 2}
    assert store.action_counts() == {"idle": 2, "web_search": 2}
    assert (store.mean_gained(), store.mean_gained("gpt2"), store.mean_gained("hrm@1")) == (1.5, 1.5, None)
    assert list(store.decisions(["hrm@1"])) == decisions[2:]
    assert list(store.decisions(["hrm@1", "gpt2"])) == decisions
    assert list(store.decisions([])) == []
    assert (store.last_step("e1"), store.id_at("e1", 2), store.id_at("e1", 9)) == (3, decisions[2].id, None)


def test_reading_goes_page_by_page_in_order_and_writing_goes_on_meanwhile(store, path, make_decision):
    steps = range(1203)
    store.append_many(make_decision(step) for step in steps)
    with Database(path) as other:
        seen = []
        for decision in store.decisions(["gpt2"]):
            if decision.step in (0, 700):
                DecisionStore(other).append(make_decision(decision.step, episode="other"))
                store.append(make_decision(decision.step, episode="own"))
            seen.append(decision.step)
    assert seen == list(steps)
    assert store.count() == 1207


def test_a_decision_and_what_belongs_to_it_are_one_transaction(store, make_decision):
    with pytest.raises(RuntimeError), store.database.transaction():
        store.append(make_decision(0))
        raise RuntimeError("killed in between")
    assert store.count() == 0


def test_a_workspace_belongs_to_the_first_teacher_that_claims_it(store, path):
    assert store.teacher() is None
    claim = store.claim_teacher("gpt2", 124_439_808, "openai-community/gpt2")
    with Database(path) as database:
        again = DecisionStore(database)
        assert again.teacher() == claim == again.claim_teacher("gpt2", 124_439_808, "a local folder")
        with pytest.raises(TeacherMismatchError, match=r"'gpt2', not to 'gemma-3-270m': use another --workspace"):
            again.claim_teacher("gemma-3-270m", 268_098_176, "gemma")
    assert store.teacher() == claim


def test_episodes_that_were_left_to_a_policy_while_another_decided_are_told(store, make_decision):
    assert store.episodes_between("gpt2") == frozenset()
    for number, policy in enumerate(("gpt2", "hrm@1", "gpt2", "hrm@1", "gpt2")):
        store.append(make_decision(0, episode=f"e{number}", policy=policy, id=f"d{number}"))
    assert store.episodes_between("gpt2") == {"e2"}


def test_episodes_shared_with_another_policy_are_told_from_episodes_of_a_single_policy(store, make_decision):
    store.append_many([make_decision(0, episode="own", id="1"), make_decision(1, episode="own", id="2")])
    store.append_many(
        [make_decision(0, episode="both", id="3"), make_decision(1, episode="both", policy="hrm@1", id="4")]
    )
    store.append(make_decision(0, episode="other", policy="hrm@1", id="5"))
    assert store.episodes_beside("gpt2") == {"both"}
    assert store.episodes_beside("nobody") == frozenset()
