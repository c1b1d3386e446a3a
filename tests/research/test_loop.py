from __future__ import annotations

import json
import random
import threading
from collections import Counter
from typing import Any, cast

import pytest

from aegis.config import AgentConfig
from aegis.errors import SearchError
from aegis.research import Agent, ApprovalQueue, DrawnPresence, Inbox, RewardTable
from aegis.store import Database, DecisionStore
from aegis.types import Choice

ACTIONS = ("web_search", "ask_human", "propose_improvement", "idle")


class Here:
    def here(self, now):
        return True


class SeenNobody:
    def here(self, now):
        return False


def observed(agent: Agent) -> dict:
    """Return what the policy saw last."""
    return cast(Any, agent.policy).states[-1]


def test_a_decision_is_durable_before_its_action_is_carried_out(make_agent, make_search, path):
    seen = []

    class Watching(make_search):  # type: ignore[valid-type, misc]
        def search(self, query, limit):
            with Database(path) as other:
                seen.extend(DecisionStore(other).examples())
            return super().search(query, limit)

    step = make_agent("web_search", search=Watching()).step()
    assert [(example.decision, example.outcome) for example in seen] == [(step.decision, None)]


def test_a_policy_that_fails_leaves_no_decision(make_agent, store):
    agent = make_agent("idle")
    agent.policy.choices = ["idle"]

    def fail(states, actions):
        raise RuntimeError("out of memory")

    agent.policy.decide = fail
    with pytest.raises(RuntimeError, match="out of memory"):
        agent.step()
    assert store.count() == 0


def test_a_decision_records_the_policys_state_choice_and_name(make_agent, store, clock):
    agent = make_agent("propose_improvement")
    decision = agent.step().decision
    assert list(store.decisions()) == [decision]
    assert decision.state == observed(agent)
    assert decision.actions == ACTIONS
    assert decision.probabilities == (0.1, 0.1, 0.7, 0.1)
    assert decision.action.name == "propose_improvement"
    assert (decision.policy, decision.step, decision.decided_at) == ("fake", 0, clock())


def test_of_equally_probable_actions_the_first_is_taken(make_agent):
    agent = make_agent("idle")
    agent.policy.decide = lambda states, actions: [Choice.best((0.1, 0.4, 0.1, 0.4), actions, "even")]
    assert agent.step().decision.action.name == "ask_human"


def test_the_state_has_goals_options_knowledge_recent_waiting_and_human(
    make_agent, search, hit, database, clock, prove
):
    search.hits = [hit("The json module", "It tells of `JSONDecoder`.")]
    agent = make_agent("web_search", "ask_human", "propose_improvement", "web_search", "idle", "idle")
    prove(agent)
    agent.step()
    first = observed(agent)
    assert set(first) == {"goals", "human", "knowledge", "options", "idle_turns", "recent", "waiting"}
    assert len(first["goals"]) == 2
    assert all(goal.endswith(", 0% done") for goal in first["goals"])
    assert first["human"] == "away"
    assert first["knowledge"] == {"facts": 0, "latest": None}
    assert first["recent"] == []
    assert first["waiting"] == {"answers": 0, "approvals": 0}
    assert first["options"][0].startswith(f"search: {search.queries[0]}")
    assert first["options"][-1] == "idle"
    agent.step()
    second = observed(agent)
    assert second["goals"][0].endswith(", 25% done")
    assert second["knowledge"] == {"facts": 1, "latest": "The json module"}
    assert second["recent"] == ["search found 1"]
    agent.step()
    assert observed(agent)["waiting"] == {"answers": 1, "approvals": 0}
    Inbox(database).answer(1, "yes", clock())
    agent.step()
    fourth = observed(agent)
    assert fourth["waiting"] == {"answers": 0, "approvals": 1}
    assert fourth["human"] == "here"
    assert fourth["recent"] == ["search found 1", "ask waiting", "propose pending"]
    agent.step()
    assert observed(agent)["recent"] == ["ask waiting", "propose pending", "search found nothing"]
    agent.step()
    assert observed(agent)["idle_turns"] == 1


def test_a_question_searched_in_vain_may_be_asked_and_one_that_waits_is_not_offered_again(make_agent, search):
    search.hits = []
    config = AgentConfig(goals_per_episode=1)
    agent = make_agent("web_search", "web_search", "ask_human", "ask_human", "idle", config=config, seed=3)
    agent.step()
    assert not any(option.startswith("ask: ") for option in observed(agent)["options"])
    asked = []
    for _ in range(3):
        agent.step()
        asked.append([option for option in observed(agent)["options"] if option.startswith("ask: ")])
    assert asked[0][0].startswith(f"ask: {search.queries[0]} The human is away")
    assert asked[1] != asked[2]


def test_a_policy_that_asks_all_the_time_asks_each_open_question_once_before_it_repeats_itself(make_agent, database):
    agent = make_agent("ask_human", config=AgentConfig(goals_per_episode=1, patience_turns=99), seed=3)
    asked = [agent.step().decision.action.argument["question"] for _ in range(3)]
    (goal,) = agent._goals.active(agent._episode)
    assert set(asked) == {q.text for q in agent._curiosity.open_questions(goal.id)} | {
        f"What matters about {goal.topic}?"
    }


def test_new_knowledge_raises_questions_that_are_searched_for_next(make_agent, search):
    agent = make_agent("web_search", config=AgentConfig(goals_per_episode=1, open_questions_limit=3))
    steps = [agent.step() for _ in range(3)]
    assert steps[0].outcome.result["new_questions"] == 1
    assert "What is ThingNumber1?" in search.queries


def test_a_proposal_is_reasoned_from_the_agents_own_record(make_agent, search, database):
    search.hits = []
    agent = make_agent("web_search", "web_search", "web_search", "propose_improvement")
    for _ in range(4):
        agent.step()
    (pending,) = ApprovalQueue(database).pending()
    assert (pending.aspect, pending.reason) == ("hits_per_search", "3 of 3 searches found nothing new")
    assert "propose: better hits per search, 3 of 3 searches found nothing new" in observed(agent)["options"]


def test_questions_of_an_earlier_episode_do_not_count_in_the_record_of_this_one(make_agent, search, clock):
    search.hits = []
    config = AgentConfig(episode_length=4, answer_timeout_seconds=10, patience_turns=99)
    agent = make_agent("web_search", "ask_human", "idle", "idle", "idle", config=config, presence=lambda inbox: Here())
    agent.step()
    agent.step()
    assert agent._executor.record.asked == 1
    agent.step()
    agent.step()
    clock.pass_seconds(11)
    agent.step()
    assert (agent._executor.record.asked, agent._executor.record.unanswered) == (0, 0)


def test_only_questions_searched_in_vain_and_put_to_somebody_count_as_unanswered(make_agent, search, clock):
    search.hits = []
    config = AgentConfig(answer_timeout_seconds=10, patience_turns=99)
    counts = []
    for presence, choices in (
        (Here, ("web_search", "ask_human", "idle")),
        (Here, ("ask_human", "idle")),
        (SeenNobody, ("web_search", "ask_human", "idle")),
    ):
        agent = make_agent(*choices, config=config, presence=lambda inbox, kind=presence: kind(), seed=len(counts))
        for _ in choices:
            agent.step()
        clock.pass_seconds(11)
        agent.step()
        counts.append(agent._executor.record.unanswered)
    assert counts == [1, 0, 0]


def test_episodes_are_of_the_configured_length_and_start_afresh(make_agent, store, prove):
    agent = make_agent("web_search", "propose_improvement", "idle", config=AgentConfig(episode_length=4))
    prove(agent)
    decisions = [agent.step().decision for _ in range(10)]
    episodes = list(dict.fromkeys(decision.episode for decision in decisions))
    assert [(episodes.index(d.episode), d.step) for d in decisions] == [(n // 4, n % 4) for n in range(10)]
    assert decisions[1].action.name == "propose_improvement"
    for start in (4, 8):
        assert decisions[start].state["recent"] == []
        assert decisions[start].state["idle_turns"] == 0
        assert decisions[start].state["knowledge"] == {"facts": 0, "latest": None}
    assert decisions[9].state["waiting"]["approvals"] == 1  # proposals stay


def test_the_next_agent_in_a_workspace_knows_what_the_one_before_has_read(make_agent, search, hit):
    search.hits = [hit("A", "Some words.")]
    assert make_agent("web_search").step().outcome.gained == 1
    assert make_agent("web_search", seed=1).step().outcome.gained == 0


def test_a_goal_that_gains_nothing_is_set_aside_for_the_next(make_agent, database):
    agent = make_agent("idle", config=AgentConfig(patience_turns=4, goals_per_episode=2))
    firsts = []
    for _ in range(9):
        agent.step()
        firsts.append(observed(agent)["goals"][0])
    assert len(set(firsts[:4])) == 1
    assert firsts[4] != firsts[3]
    assert firsts[8] != firsts[7]
    assert [row["status"] for row in database.query("SELECT status FROM goals ORDER BY seq")][:2] == ["exhausted"] * 2


def test_a_reached_goal_is_closed(make_agent, database):
    agent = make_agent("web_search", config=AgentConfig(goals_per_episode=1, questions_per_goal=2))
    for _ in range(4):
        agent.step()
    statuses = [row["status"] for row in database.query("SELECT status FROM goals ORDER BY seq")]
    assert statuses[0] == "reached"
    assert any(goal.endswith("100% done") for state in agent.policy.states for goal in state["goals"])


# Who never searches meets no world.
@pytest.mark.parametrize(
    ("action", "world"),
    [
        *(("web_search", world) for world in ("endless", "empty", "failing")),
        *((action, "endless") for action in ACTIONS if action != "web_search"),
    ],
)
def test_the_agent_never_runs_dry(make_agent, search, store, clock, action, world):
    search.hits = None if world == "endless" else []
    search.fault = SearchError("down") if world == "failing" else None
    agent = make_agent(action)
    for number in range(300):
        step = agent.step()
        clock.pass_seconds(10)
        state = step.decision.state
        assert step.decision.step == number % 20
        assert state["goals"]
        assert state["options"][-1] == "idle"
        assert all(step.decision.action.argument.values())
        json.dumps(state, allow_nan=False)
    assert store.count() == 300
    assert store.action_counts() == {action: 300}
    if action == "web_search":
        assert len(set(search.queries)) > (100 if world == "endless" else 10)
        assert store.mean_gained() == (1.0 if world == "endless" else 0.0)


def test_a_search_action_is_offered_most_of_the_time_while_there_is_something_to_read(make_agent):
    agent = make_agent("web_search")
    for _ in range(100):
        agent.step()
    offered = sum(state["options"][0].startswith("search: ") for state in agent.policy.states)
    assert offered >= 60


def test_the_same_seed_lives_the_same_life(make_agent, make_search, tmp_path):
    lives = []
    for name in ("one", "two", "other"):
        with Database(tmp_path / name / "aegis.db") as database:
            agent = make_agent(
                "web_search", "ask_human", "web_search", "idle", "web_search",
                store=DecisionStore(database), search=make_search(), seed=1 if name == "other" else 0,
            )  # fmt: skip
            lives.append([agent.step().decision.state for _ in range(30)])
    assert lives[0] == lives[1]
    assert lives[0] != lives[2]


def test_two_agents_in_one_workspace_settle_one_answer_once(make_agent, store, path, database, clock):
    first = make_agent("ask_human", "idle")
    asked = [first.step().decision.id]
    with Database(path) as other:
        second = make_agent("ask_human", "idle", store=DecisionStore(other), seed=1)
        asked.append(second.step().decision.id)
        for number in (1, 2):
            Inbox(database).answer(number, f"answer {number}", clock())
        second.step()
        first.step()
    for decision_id in asked:
        rows = database.query("SELECT status FROM outcomes WHERE decision_id = ? ORDER BY seq", (decision_id,))
        assert [row["status"] for row in rows] == ["unknown", "ok"]
    assert first.step().decision.episode != second._episode


def test_agents_that_settle_at_the_same_moment_settle_each_answer_once(make_agent, database, path, clock):
    agent = make_agent("idle")
    questions = [agent.step().decision.id for _ in range(10)]
    for number, decision in enumerate(questions, start=1):
        Inbox(database).ask(decision, f"question {number}", clock(), 300)
        Inbox(database).answer(number, f"answer {number}", clock())
    ready, faults = threading.Barrier(4), []

    def live(seed: int) -> None:
        try:
            with Database(path) as own:
                other = make_agent("idle", store=DecisionStore(own), seed=seed)
                ready.wait(120)
                for _ in range(5):
                    other.step()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=live, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert faults == []
    settled = Counter(
        row["decision_id"]
        for row in database.query(
            "SELECT decision_id FROM outcomes WHERE status = 'ok' AND reward = ?", (RewardTable().answered,)
        )
    )
    assert settled == dict.fromkeys(questions, 1)


def test_a_person_is_here_for_a_while_after_using_the_inbox(make_agent, database, clock):
    agent = make_agent("idle", config=AgentConfig(presence_window_seconds=100))
    seen = []
    for wait in (0, 1, 99, 2):
        clock.pass_seconds(wait)
        if wait == 1:
            Inbox(database).note_person(clock())
        agent.step()
        seen.append(observed(agent)["human"])
    assert seen == ["away", "here", "here", "away"]


def test_drawn_presence_shows_both_cases_and_touches_no_inbox(make_agent, database):
    rng = random.Random(0)
    agent = make_agent("idle", presence=lambda inbox: DrawnPresence(rng))
    for _ in range(200):
        agent.step()
    counts = Counter(state["human"] for state in agent.policy.states)
    assert min(counts["here"], counts["away"]) > 60
    changes = sum(a["human"] != b["human"] for a, b in zip(agent.policy.states, agent.policy.states[1:], strict=False))
    assert 20 < changes < 70
    assert Inbox(database).person_seen_at() is None
