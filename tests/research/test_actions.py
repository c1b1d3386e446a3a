"""Each action is really carried out, and each outcome has the reward of the table."""

from __future__ import annotations

import json

import pytest

from aegis.config import AgentConfig
from aegis.errors import ActionError, SearchError
from aegis.research import RESEARCH_ACTIONS, ApprovalQueue, Inbox, RewardTable
from aegis.research.proposals import Record
from aegis.research.rewards import total
from aegis.types import Action


def knowledge(database):
    return [tuple(row) for row in database.query("SELECT title, text, source, topic FROM knowledge ORDER BY seq")]


def outcomes(database, decision_id):
    rows = database.query("SELECT status, reward FROM outcomes WHERE decision_id = ? ORDER BY seq", (decision_id,))
    return [tuple(row) for row in rows]


def test_the_four_actions_stand_in_a_fixed_order():
    assert RESEARCH_ACTIONS.names == ("web_search", "ask_human", "propose_improvement", "idle")
    assert [spec.argument for spec in RESEARCH_ACTIONS] == ["query", "question", "aspect", None]


def test_a_search_pays_for_each_new_passage():
    table = RewardTable(per_item=2.0, nothing_found=-3.0)
    assert [total(table.of_search(gained)) for gained in (0, 1, 3)] == [-3.0, 2.0, 6.0]


def test_a_search_keeps_what_is_new_and_nothing_twice(make_agent, search, hit, store, database):
    search.hits = [hit("A", "First text."), hit("B", "Second text.")]
    agent = make_agent("web_search")
    first, second = agent.step(), agent.step()
    assert knowledge(database) == [
        ("A", "First text.", "docs", "things"),
        ("B", "Second text.", "docs", "things"),
    ]
    assert (first.outcome.status, first.outcome.gained, first.outcome.reward) == ("ok", 2, 2.0)
    assert (second.outcome.status, second.outcome.gained, second.outcome.reward) == ("failed", 0, -0.5)
    assert store.get(first.decision.id).outcome == first.outcome
    assert first.outcome.result["results"] == ["A", "B"]
    assert first.decision.action == Action("web_search", {"query": search.queries[0]})


@pytest.mark.parametrize("twin", [("a  PAGE", "some\n WORDS."), ("A page\x00", "Some words.\u200b")])
def test_the_same_passage_in_other_spacing_case_or_control_characters_is_known(make_agent, search, hit, twin):
    search.hits = [hit("A page", "Some words.")]
    agent = make_agent("web_search")
    assert agent.step().outcome.gained == 1
    search.hits = [hit(*twin)]
    assert agent.step().outcome.gained == 0


def test_a_search_reads_as_many_results_as_configured(make_agent, search, hit):
    search.hits = [hit(f"page {n}") for n in range(10)]
    agent = make_agent("web_search", config=AgentConfig(hits_per_search=3))
    assert agent.step().outcome.gained == 3


def test_a_search_without_results_has_failed(make_agent, search):
    search.hits = []
    outcome = make_agent("web_search").step().outcome
    assert (outcome.status, outcome.gained, outcome.reward) == ("failed", 0, -0.5)


def test_a_search_that_could_not_be_carried_out_has_failed_and_costs_more_than_idling(make_agent, search, store):
    search.fault = SearchError("timed out after 7 s")
    step = make_agent("web_search").step()
    assert (step.outcome.status, step.outcome.reward, step.outcome.gained) == ("failed", -0.2, 0)
    assert "timed out after 7 s" in step.outcome.detail
    assert store.get(step.decision.id).outcome == step.outcome


def test_an_answered_question_is_closed_and_a_vain_question_is_at_last_abandoned(make_agent, search, database):
    config = AgentConfig(searches_per_question=2, goals_per_episode=1, patience_turns=99)
    agent = make_agent("web_search", config=config)

    def status(question):
        return dict(database.query("SELECT text, status FROM questions"))[question]

    agent.step()
    assert status(search.queries[0]) == "closed"
    search.hits = []
    agent.step()
    vain = search.queries[1]
    assert status(vain) == "open"
    for _ in range(8):
        agent.step()
    assert status(vain) == "abandoned"
    searches = dict(database.query("SELECT text, searches FROM questions"))
    assert searches[vain] == 3  # twice, and once more because nobody was asked meanwhile
    assert search.queries.count(vain) == 1  # each time in other words
    assert len(set(search.queries)) == len(search.queries)


def test_a_question_waits_in_the_inbox_and_its_answer_is_learned(make_agent, store, database, clock):
    agent = make_agent("ask_human", "idle")
    asked = agent.step()
    assert (asked.outcome.status, asked.outcome.reward) == ("unknown", None)
    inbox = Inbox(database)
    (waiting,) = inbox.waiting()
    assert waiting.question == asked.decision.action.argument["question"]
    assert waiting.decision_id == asked.decision.id
    clock.pass_seconds(20)
    inbox.answer(waiting.id, "It is a\nlibrary.", clock())
    assert inbox.waiting() == []
    agent.step()
    outcome = store.get(asked.decision.id).outcome
    assert (outcome.status, outcome.reward, outcome.gained) == ("ok", RewardTable().answered, 1)
    assert outcome.recorded_at == clock()
    assert knowledge(database) == [(waiting.question, "It is a library.", "person", "told by a person")]
    assert dict(database.query("SELECT text, status FROM questions"))[waiting.question] == "closed"
    agent.step()
    assert outcomes(database, asked.decision.id) == [("unknown", None), ("ok", RewardTable().answered)]


def test_a_question_that_nobody_answers_in_time_has_failed(make_agent, store, database, clock):
    agent = make_agent("ask_human", "idle", config=AgentConfig(answer_timeout_seconds=60))
    asked = agent.step().decision
    clock.pass_seconds(59.9)
    agent.step()
    assert store.get(asked.id).outcome.status == "unknown"
    clock.pass_seconds(0.2)
    agent.step()
    outcome = store.get(asked.id).outcome
    assert (outcome.status, outcome.reward, outcome.gained) == ("failed", -0.2, 0)
    assert outcome.components == {"unanswered": -0.1, "nobody_here": -0.1}
    assert knowledge(database) == []
    with pytest.raises(ActionError, match="question 1 is not waiting for an answer"):
        Inbox(database).answer(1, "too late", clock())
    agent.step()
    assert outcomes(database, asked.id) == [("unknown", None), ("failed", -0.2)]


def test_an_answer_is_settled_though_the_asking_was_killed_before_its_outcome(make_agent, store, database, clock):
    class Killed(BaseException):
        pass

    agent = make_agent("ask_human", "idle")
    record_outcome = store.record_outcome

    def die(outcome):
        raise Killed

    store.record_outcome = die
    with pytest.raises(Killed):
        agent.step()
    store.record_outcome = record_outcome
    (waiting,) = Inbox(database).waiting()
    assert store.get(waiting.decision_id).outcome is None
    Inbox(database).answer(waiting.id, "It is a library.", clock())
    make_agent("idle", seed=1).step()
    assert outcomes(database, waiting.decision_id) == [("ok", RewardTable().answered)]
    assert len(knowledge(database)) == 1


def test_a_proposal_waits_for_approval_and_a_second_on_the_same_aspect_is_a_duplicate(make_agent, database, prove):
    agent = make_agent("propose_improvement")
    prove(agent)
    first, second = agent.step(), agent.step()
    assert (first.outcome.status, first.outcome.reward) == ("ok", 1.0)
    assert (second.outcome.status, second.outcome.reward) == ("failed", -2.0)
    (pending,) = ApprovalQueue(database).pending()
    assert pending.decision_id == first.decision.id
    assert pending.aspect == first.decision.action.argument["aspect"] == second.decision.action.argument["aspect"]
    assert pending.change["setting"] == pending.aspect
    assert pending.change["to"] != pending.change["from"] == getattr(agent.config, pending.aspect)


@pytest.mark.parametrize(("approve", "status", "reward"), [(True, "ok", 10.0), (False, "failed", -1.0)])
def test_a_persons_answer_to_a_proposal_is_the_proposals_outcome(
    make_agent, store, database, clock, prove, approve, status, reward
):
    agent = make_agent("propose_improvement", "idle")
    prove(agent)
    proposed = agent.step().decision
    ApprovalQueue(database).decide(1, approve, clock())
    agent.step()
    outcome = store.get(proposed.id).outcome
    assert (outcome.status, outcome.reward) == (status, reward)
    assert outcome.components == {"approved" if approve else "rejected": reward}
    agent.step()
    assert outcomes(database, proposed.id) == [("ok", 1.0), (status, reward)]
    with pytest.raises(ActionError, match="proposal 1 is not pending"):
        ApprovalQueue(database).decide(1, approve, clock())


def test_a_proposal_that_nobody_decided_leaves_the_queue_and_is_not_made_again_for_a_week(
    make_agent, store, database, clock, prove
):
    config = AgentConfig(approval_timeout_seconds=100, proposal_rest_seconds=1000)
    agent = make_agent("propose_improvement", "idle", "propose_improvement", config=config)
    prove(agent)
    proposed = agent.step().decision
    clock.pass_seconds(101)
    agent.step()
    assert ApprovalQueue(database).pending() == []
    assert outcomes(database, proposed.id) == [("ok", 1.0)]
    prove(agent)
    other = agent.step()
    assert other.decision.action.argument != proposed.action.argument
    prove(agent)
    clock.pass_seconds(101)
    assert agent.step().outcome.components == {"duplicate": -2.0}
    clock.pass_seconds(1000)
    again = agent.step()
    assert (again.outcome.reward, again.decision.action.argument) == (1.0, proposed.action.argument)


def test_a_rejected_proposal_is_not_made_again_in_other_words_either(make_agent, database, clock, prove):
    agent = make_agent("propose_improvement")
    prove(agent)
    proposed = agent.step().decision.action.argument
    ApprovalQueue(database).decide(1, False, clock())
    agent._executor.record = Record(searches=9, vain_searches=5)  # another reason, the same value
    step = agent.step()
    assert step.decision.action.argument == proposed
    assert (step.outcome.status, step.outcome.components) == ("failed", {"duplicate": -2.0})
    assert "proposed lately" in step.outcome.detail


def test_a_proposal_without_evidence_is_not_made(make_agent, database):
    step = make_agent("propose_improvement").step()
    assert (step.outcome.status, step.outcome.components) == ("failed", {"unfounded": -2.0})
    assert ApprovalQueue(database).pending() == []


def test_no_more_proposals_wait_at_once_than_the_limit(make_agent, database, prove):
    agent = make_agent("propose_improvement", config=AgentConfig(waiting_proposals_limit=1))
    prove(agent)
    agent.step()
    agent._executor.record = Record(asked=9, unanswered=9)
    step = agent.step()
    assert (step.outcome.reward, step.outcome.detail) == (-2.0, "1 proposal already waiting for a person")
    assert not any(option.startswith("propose") for option in step.decision.state["options"])


def test_the_same_question_is_not_asked_twice_and_only_so_many_wait_at_once(make_agent, database, clock):
    config = AgentConfig(waiting_questions_limit=2, goals_per_episode=1, patience_turns=99)
    agent = make_agent("ask_human", config=config)
    steps = [agent.step() for _ in range(4)]
    assert [step.outcome.status for step in steps] == ["unknown", "unknown", "failed", "failed"]
    assert steps[2].outcome.components == {"repeated": -0.5}
    assert len(Inbox(database).waiting()) == 2
    clock.pass_seconds(301)
    questions = [agent.step().decision.action.argument["question"] for _ in range(4)]
    asked = [row["question"] for row in database.query("SELECT question FROM inbox")]
    assert len(set(asked)) == len(asked)
    assert set(questions) <= set(asked)


def test_pieces_of_one_passage_pay_once(make_agent, search, hit):
    search.hits = [hit("Patterns", f"Part {n} tells of something else: {'x' * n}.") for n in range(1, 4)]
    outcome = make_agent("web_search", config=AgentConfig(hits_per_search=3)).step().outcome
    assert (outcome.gained, outcome.components) == (3, {"per_item": 1.0})


def test_a_provider_that_returns_more_than_was_asked_for_pays_no_more(make_agent, make_search, hit):
    class Generous(make_search):  # type: ignore[valid-type, misc]
        def search(self, query, limit):
            return [hit(f"page {n}", f"Words {n}.") for n in range(50)]

    assert make_agent("web_search", search=Generous()).step().outcome.gained == 2


def test_every_known_outcome_says_what_its_reward_is_made_of(make_agent, search, database, clock, prove):
    agent = make_agent("web_search", "ask_human", "ask_human", "propose_improvement", "idle", "idle")
    for turn in range(8):
        if turn == 3:
            prove(agent)
        agent.step()
        if turn == 3:
            Inbox(database).answer(1, "It is a library.", clock())
        clock.pass_seconds(100)
    rows = database.query("SELECT reward, components FROM outcomes WHERE status <> 'unknown'")
    assert len(rows) == 8
    parts = [json.loads(row["components"]) for row in rows]
    assert [sum(part.values()) for part in parts] == [row["reward"] for row in rows]
    assert {name for part in parts for name in part} == {"per_item", "answered", "unanswered", "pending", "idle"} | {
        "nobody_here"
    }


def test_idling_does_nothing_and_costs_a_little(make_agent, search, database):
    outcome = make_agent("idle").step().outcome
    assert (outcome.status, outcome.reward, outcome.gained) == ("ok", -0.1, 0)
    for left in (search.queries, knowledge(database), Inbox(database).waiting(), ApprovalQueue(database).pending()):
        assert left == []


def test_another_table_gives_other_rewards(make_agent, search):
    rewards = RewardTable(per_item=7.0, nothing_found=-3.0, idle=-9.0)
    agent = make_agent("web_search", "web_search", "idle", rewards=rewards)
    agent.step()
    search.hits = []
    assert [agent.step().outcome.reward for _ in range(2)] == [-3.0, -9.0]


def test_no_unknown_outcome_has_a_reward(make_agent, search, database, clock):
    agent = make_agent("ask_human", "web_search", "propose_improvement", "idle", "ask_human")
    for _ in range(6):
        agent.step()
        clock.pass_seconds(1000)
    rewards = database.query("SELECT reward FROM outcomes WHERE status = 'unknown'")
    assert len(rewards) == 3
    assert all(row["reward"] is None for row in rewards)
