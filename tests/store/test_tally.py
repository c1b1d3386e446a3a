"""The sums that the database keeps are those of its decisions and their current outcomes."""

from __future__ import annotations

import random
import sqlite3

from aegis.store import Database, DecisionStore, count_recent_searches, migrations, read_tallies
from aegis.types import Action, Outcome

ACTIONS = ("web_search", "ask_human", "propose_improvement", "idle")


def counted(store):
    sums = {}
    for decision, outcome in store.examples():
        one = sums.setdefault((decision.policy, decision.action.name), [0, 0, 0, 0, 0, 0.0])
        one[0] += 1
        if outcome is not None:
            known = outcome.status != "unknown"
            one[1] += known
            one[2] += outcome.gained * known
            one[3] += outcome.status == "failed"
            one[4] += outcome.reward is not None
            one[5] += outcome.reward or 0.0
    return {key: tuple(values) for key, values in sums.items()}


def kept(database):
    return {
        (one.policy, one.action): (one.decisions, one.known, one.gained, one.failed, one.rewarded, one.reward)
        for one in read_tallies(database)
    }


def fill(store, make_decision, draw, count, append=None):
    ids = []
    for number in range(count):
        action = Action(draw.choice(ACTIONS))
        decision = make_decision(
            episode=f"e{draw.random()}", step=number, actions=ACTIONS, action=action, probabilities=None,
            policy=draw.choice(("gpt2", "hrm@1")),
        )  # fmt: skip
        if append is None:
            store.append(decision)
        else:
            with store.database.transaction() as connection:
                append(connection, decision)
        ids.append(decision.id)
    for _ in range(2 * count):
        status = draw.choice(("ok", "failed", "unknown"))
        reward = None if status == "unknown" else draw.choice((None, -0.5, 2.0))
        row = (draw.choice(ids), status, draw.randrange(3), reward, "2026-01-31T12:00:00+00:00")
        with store.database.transaction() as connection:  # as a store of the first schema also writes it
            connection.execute(
                "INSERT INTO outcomes (decision_id, status, gained, reward, recorded_at) VALUES (?, ?, ?, ?, ?)", row
            )


def test_the_sums_are_those_of_the_newest_outcomes(store, make_decision):
    fill(store, make_decision, random.Random(0), 60)
    assert kept(store.database) == counted(store)


def test_decisions_from_before_the_sums_were_kept_are_counted_too(path, make_decision, append_old, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
        with Database(path) as database:
            fill(DecisionStore(database), make_decision, random.Random(1), 30, append_old)
    with Database(path) as database:
        assert kept(database) == counted(DecisionStore(database))
        assert sum(sums[0] for sums in kept(database).values()) == 30


def test_a_decision_that_is_undone_is_not_counted(store, make_decision):
    decision = make_decision()
    try:
        with store.database.transaction():
            store.append(decision)
            raise sqlite3.OperationalError("power lost")
    except Exception:
        pass
    assert read_tallies(store.database) == []


def test_recent_searches_are_counted_by_their_newest_outcome(store, make_decision):
    for number, (action, gained) in enumerate(
        [("web_search", 0), ("web_search", 2), ("web_search", 0), ("idle", 0), ("web_search", None)]
    ):
        decision = make_decision(
            episode="e", step=number, actions=ACTIONS, action=Action(action), probabilities=None, policy="gpt2"
        )
        store.append(decision)
        if gained is not None:
            store.record_outcome(Outcome(decision.id, "unknown", gained=7))
            store.record_outcome(Outcome(decision.id, "ok", gained=gained))
    assert count_recent_searches(store.database) == (3, 2)
    assert count_recent_searches(store.database, decisions=4) == (2, 1)


def test_recent_searches_of_a_new_workspace_are_none(store):
    assert count_recent_searches(store.database) == (0, 0)
