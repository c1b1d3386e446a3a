from __future__ import annotations

from aegis.agent import ApprovalQueue
from aegis.agent.proposals import Record, candidates
from aegis.config import AgentConfig
from aegis.types import Action, Decision


def test_the_aspect_for_which_the_record_speaks_most_comes_first():
    record = Record(
        searches=10, vain_searches=2, hits=20, known_hits=6, asked=4, unanswered=3, idles=1, decisions=20
    )  # fmt: skip
    found = candidates(record, AgentConfig(answer_timeout_seconds=300, open_questions_limit=2))
    assert [proposal.aspect for proposal in found] == [
        "answer_timeout_seconds",
        "open_questions_limit",
        "hits_per_search",
        "questions_per_item",
    ]
    assert [proposal.weight for proposal in found] == [0.75, 0.3, 0.2, 0.05]
    assert (found[0].old, found[0].new) == (300, 600)
    assert [proposal.reason for proposal in found] == [
        "3 of 4 questions stayed unanswered",
        "6 of 20 results were known already",
        "2 of 10 searches found nothing new",
        "1 of 20 decisions did nothing",
    ]


def test_an_empty_record_speaks_for_nothing():
    assert {proposal.weight for proposal in candidates(Record(), AgentConfig())} == {0.0}


def test_every_proposal_is_a_setting_that_would_be_valid():
    config = AgentConfig()
    for proposal in candidates(Record(), config):
        assert getattr(config, proposal.aspect) == proposal.old != proposal.new
        AgentConfig(**{proposal.aspect: proposal.new})


def test_proposals_on_different_aspects_wait_side_by_side(store, database, clock):
    queue = ApprovalQueue(database)
    numbers = []
    for step, proposal in enumerate([*candidates(Record(), AgentConfig())] * 2):
        decision = Decision("e", step, {}, ("a", "b"), Action("a"), None, "fake", decided_at=clock())
        store.append(decision)
        numbers.append(queue.propose(decision.id, proposal, clock(), 60))
    assert numbers == [1, 2, 3, 4, None, None, None, None]
    assert [pending.id for pending in queue.pending()] == [1, 2, 3, 4]
