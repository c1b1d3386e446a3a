"""Questions and proposals are told of once, while they wait, with how they are settled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aegis.lifecycle import open_store
from aegis.research import ApprovalQueue, Inbox
from aegis.research.proposals import Proposal
from aegis.research.run import read_agent_standing
from aegis.research.run.waiting import Herald, Waiting, read_waiting
from aegis.types import utc_now
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

NOW = datetime(2026, 1, 31, tzinfo=UTC)
PROPOSAL = Proposal("hits_per_search", 2, 4, "2 of 3 searches found nothing new", 0.6)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (42, "42 s"), (99.4, "99 s"), (100, "1 min"), (299, "4 min"), (86_400, "24 h")],
)
def test_the_remaining_time_is_shown_in_one_unit(seconds, words):
    assert Waiting("question", 1, "Why?", NOW + timedelta(seconds=seconds)).left(NOW) == words


def test_waiting_questions_are_read_with_their_end_and_expired_questions_are_not(workspace, fill):
    first, second, third = (decision.id for decision in fill(3))
    with open_store(workspace) as store:
        Inbox(store.database).ask(first, "What is WAL?", NOW, 60)
        Inbox(store.database).ask(second, "Why?", NOW, 600)
        ApprovalQueue(store.database).propose(third, PROPOSAL, NOW, 3600)
        found = read_waiting(store.database, NOW + timedelta(seconds=100))
    assert [(one.kind, one.number, one.left(NOW)) for one in found] == [
        ("question", 2, "10 min"),
        ("proposal", 1, "60 min"),
    ]
    assert found[1].text == "hits_per_search from 2 to 4, because 2 of 3 searches found nothing new"


def test_each_waiting_item_is_announced_once(workspace, fill):
    first, second = (decision.id for decision in fill(2))
    told = []
    herald = Herald(lambda one, now: told.append((one.kind, one.number)))
    with open_store(workspace) as store:
        Inbox(store.database).ask(first, "What is WAL?", utc_now(), 600)
        herald.look(store.database)
        herald.look(store.database)
        Inbox(store.database).ask(second, "Why?", utc_now(), 600)
        herald.look(store.database)
    assert told == [("question", 1), ("question", 2)]


def test_a_waiting_question_says_how_to_settle_it_from_any_terminal():
    asked = Waiting("question", 3, "What is WAL?", NOW + timedelta(seconds=300))
    kind, words, fields = asked.to_event(NOW, Workspace(Path("mine")))
    assert (kind, fields["number"], fields["text"]) == ("asked", 3, "What is WAL?")
    assert words == 'question 3 waits for you, 5 min left: What is WAL? -> aegis answer 3 "..." --workspace mine'
    proposed = Waiting("proposal", 2, "epochs from 20 to 30", NOW + timedelta(seconds=30))
    kind, words, _ = proposed.to_event(NOW, Workspace(DEFAULT_WORKSPACE))
    assert (kind, words.endswith("-> aegis approve 2 or aegis reject 2")) == ("proposed", True)
    assert proposed.announce(NOW, proposed.how()).endswith("-> approve 2 or reject 2")


def test_an_agent_by_itself_announces_its_question_and_the_standing_has_it(
    workspace, make_runner, fill, fake_search, monkeypatch
):
    monkeypatch.setattr(fake_search, "search", lambda self, query, limit: [])  # what is searched in vain is asked
    (first,) = (decision.id for decision in fill(1))
    with open_store(workspace) as store:
        Inbox(store.database).ask(first, "What is WAL?", utc_now(), 600)
    events = []
    make_runner(max_decisions=60, notify=events.append).run()
    told = [(event.kind, event.fields["number"]) for event in events if event.kind in ("asked", "proposed")]
    assert told[0] == ("asked", 1)
    assert len(told) == len(set(told))
    actions = [event.fields["action"] for event in events if event.kind == "decided"]
    assert {"ask_human", "propose_improvement"} & set(actions)
    assert len(told) > 1
    standing = read_agent_standing(workspace)
    assert [one["text"] for one in standing.to_record()["waiting"]] == [one.text for one in standing.waiting]
    assert standing.waiting[0].text == "What is WAL?"
