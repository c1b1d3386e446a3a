from __future__ import annotations

from typing import Any

from aegis.config import AgentConfig
from aegis.research import ApprovalQueue
from aegis.research.proposals import Record, candidates
from aegis.types import Action, Decision


def test_the_best_supported_aspect_comes_first():
    record = Record(
        searches=10, vain_searches=4, hits=20, known_hits=6, asked=8, unanswered=6, idles=6, decisions=20
    )  # fmt: skip
    found = candidates(record, AgentConfig(answer_timeout_seconds=300, open_questions_limit=2))
    assert [proposal.aspect for proposal in found] == [
        "answer_timeout_seconds",
        "hits_per_search",
        "open_questions_limit",
        "questions_per_item",
    ]
    assert [proposal.weight for proposal in found] == [0.75, 0.4, 0.3, 0.3]
    assert (found[0].old, found[0].new) == (300, 600)
    assert [proposal.reason for proposal in found] == [
        "6 of 8 questions stayed unanswered",
        "4 of 10 searches found nothing new",
        "6 of 20 results were known already",
        "6 of 20 decisions did nothing",
    ]


def test_an_empty_record_supports_nothing():
    assert {proposal.weight for proposal in candidates(Record(), AgentConfig())} == {0.0}


def test_a_few_cases_support_no_proposal_because_an_agent_could_make_them_up():
    few = Record(searches=2, vain_searches=2, hits=4, known_hits=4, asked=5, unanswered=5, idles=5, decisions=5)
    seldom = Record(searches=20, vain_searches=4, hits=40, known_hits=40, asked=30, unanswered=6, idles=6, decisions=30)
    for record in (few, seldom):
        assert {p.weight for p in candidates(record, AgentConfig()) if p.aspect != "open_questions_limit"} == {0.0}


def test_every_proposal_is_a_setting_that_would_be_valid():
    config = AgentConfig()
    for proposal in candidates(Record(), config):
        assert getattr(config, proposal.aspect) == proposal.old != proposal.new
        changed: dict[str, Any] = {proposal.aspect: proposal.new}
        AgentConfig(**changed)


def test_proposals_on_different_aspects_wait_side_by_side(store, database, clock):
    queue = ApprovalQueue(database)
    numbers = []
    for step, proposal in enumerate([*candidates(Record(), AgentConfig())] * 2):
        decision = Decision("e", step, {}, ("a", "b"), Action("a"), None, "fake", decided_at=clock())
        store.append(decision)
        numbers.append(queue.propose(decision.id, proposal, clock(), 60))
    assert numbers == [1, 2, 3, 4, None, None, None, None]
    assert [pending.id for pending in queue.pending()] == [1, 2, 3, 4]
