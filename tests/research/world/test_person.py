"""Worlds with a simulated person: the same seed is the same person, who answers some of the questions."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from aegis.research import RESEARCH_ACTIONS, Inbox, Worlds
from aegis.research.proposals import ApprovalQueue, Proposal
from aegis.research.search import SearchHit
from aegis.research.world import NOBODY, PEOPLE, Habits, SimulatedPerson, draw_habits
from aegis.store import Database, DecisionStore
from aegis.types import Action, Decision

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ALWAYS_HERE = Habits(answers=0.6, approves=0.5, delay_seconds=60, stays=1e9, leaves=1.0)


class Poor:
    """Finds something for every second query, so that there are questions to ask."""

    name = "poor"

    def search(self, query, limit):
        return [SearchHit(query, f"`{query}.Thing` is about {query}.", "docs", "things")] if len(query) % 2 else []


def ask_or_search(situation):
    return "ask_human" if situation.plan.to_ask else "web_search"


def live(worlds, kind, seed=3, made=60, choose=ask_or_search):
    """Return what each decision earned, how many decisions called for a question, and when a person was here."""
    earned, called, here = {}, 0, []
    with worlds.begin(seed, kind=kind) as world:
        for _ in range(made):
            situation = world.observe()
            called += world.called_for(situation) == "ask_human"
            here.append(situation.plan.here)
            step = world.act_as(situation, choose(situation))
            earned |= {one.decision_id: one.components for one in (step.outcome, *step.late)}
        earned |= {one.decision_id: one.components for one in world.wait_out()}
    return list(earned.values()), called, here


def test_a_person_answers_some_questions_and_nobody_answers_elsewhere():
    worlds = Worlds(Poor(), ["json", "csv", "zlib"])
    alone, called, here = live(worlds, NOBODY)
    assert (called, any(here)) == (0, False)
    assert sum("answered" in parts for parts in alone) == 0
    beside, called, here = live(worlds, PEOPLE)
    assert 0 < called < 60
    assert 0 < sum(here) < 60
    assert sum("answered" in parts for parts in beside) > 0
    assert sum("unanswered" in parts for parts in beside) > 0


def test_the_same_seed_is_the_same_person_whatever_a_policy_does():
    worlds = Worlds(Poor(), ["json", "csv", "zlib"])
    first, again = (live(worlds, PEOPLE) for _ in range(2))
    assert first == again
    assert live(worlds, PEOPLE, choose=lambda situation: "idle")[2] == first[2]
    assert live(worlds, PEOPLE, seed=4)[2] != first[2]


def test_habits_differ_by_seed_and_stay_within_what_they_mean():
    drawn = [draw_habits(random.Random(seed)) for seed in range(50)]
    assert len(set(drawn)) == 50
    assert all(0 < one.answers < 1 and 0 < one.approves < 1 and one.delay_seconds > 0 for one in drawn)


def test_of_many_questions_and_proposals_a_person_settles_their_share_after_a_while():
    with Database(None) as database:
        store, inbox, queue = DecisionStore(database), Inbox(database), ApprovalQueue(database)
        person, now = SimulatedPerson("7", ALWAYS_HERE), BEGIN
        for number in range(100):
            decision = Decision("e", number, {}, RESEARCH_ACTIONS.names, Action("ask_human"), None, "x")
            store.append(decision)
            inbox.ask(decision.id, f"question {number}", now, 300)
            queue.propose(decision.id, Proposal("epochs", 20, 20 + number % 10, "", 1.0), now, 300)
            for _ in range(10):
                person(database, now)
                now += timedelta(seconds=30)
            inbox.expire(now)
            queue.lapse(now)
        asked = database.query("SELECT asked_at, answered_at FROM inbox WHERE status = 'answered'")
        assert len(asked) / 100 == pytest.approx(0.6, abs=0.15)
        delays = [datetime.fromisoformat(r["answered_at"]) - datetime.fromisoformat(r["asked_at"]) for r in asked]
        assert sum(delays, timedelta()).total_seconds() / len(delays) == pytest.approx(75, abs=25)
        statuses = [row["status"] for row in database.query("SELECT status FROM proposals")]
        assert statuses.count("lapsed") / 100 == pytest.approx(0.4, abs=0.15)
        assert statuses.count("approved") / 100 == pytest.approx(0.3, abs=0.15)


def test_a_person_who_is_away_answers_nothing():
    away = Habits(answers=1.0, approves=1.0, delay_seconds=1e-6, stays=1e-9, leaves=1e9)
    with Database(None) as database:
        decision = Decision("e", 0, {}, RESEARCH_ACTIONS.names, Action("ask_human"), None, "x")
        DecisionStore(database).append(decision)
        Inbox(database).ask(decision.id, "anybody?", BEGIN, 1e9)
        person = SimulatedPerson("1", away)
        for second in range(20):
            person(database, BEGIN + timedelta(seconds=second))
        assert not person.here(BEGIN)
        assert Inbox(database).waiting_count() == 1
