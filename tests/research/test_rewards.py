"""No way of earning without doing good pays: each policy that tries one earns less than always idling.

docs/rewards.md lists them with the rule that makes each not pay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aegis.config import AgentConfig
from aegis.errors import ConfigError, SearchError
from aegis.research import RESEARCH_ACTIONS, ApprovalQueue, Inbox, RewardTable
from aegis.research.environment import ResearchEnv
from aegis.research.rewards import make_table, read_rewards, total
from aegis.research.search import SearchHit

SEEDS = range(4)
TOPICS = [f"topic{n}" for n in range(12)]
KNOWN = [SearchHit("A page", "It tells of nothing in particular.", "docs", "things")] * 2
LONG = " ".join(f"word{n} and so on" for n in range(60))


class World:
    """Finds by a function of the query and of how often it was asked."""

    name = "world"

    def __init__(self, find):
        self.find, self.asked = find, 0

    def search(self, query, limit):
        self.asked += 1
        return self.find(query, self.asked)[:limit]


def fail(query, asked):
    raise SearchError("down")


WORLDS = {
    "all is known": lambda query, asked: KNOWN,
    "nothing is found": lambda query, asked: [],
    "near duplicates": lambda query, asked: [SearchHit("A page", f"{LONG} {asked}", "docs", "things")],
    "search is down": fail,
    "much to read": lambda query, asked: [SearchHit(query, f"About {query}: page {asked}.", "docs", "things")],
}


def offered(state, words):
    return any(option.startswith(f"{words}:") for option in state["options"])


def first_of(*wanted):
    """Return a policy that takes the first of these actions on offer, or else the last."""

    def choose(state, step):
        for name in wanted[:-1]:
            if offered(state, RESEARCH_ACTIONS[name].words):
                return name
        return wanted[-1]

    return choose


def always(name):
    return lambda state, step: name


def ask_and_wait(state, step):
    return "ask_human" if step % 6 == 0 else "idle"


def propose_now_and_then(state, step):
    return "propose_improvement" if offered(state, "propose") or step % 5 == 0 else "idle"


def answer_nothing_reject_all(database, now):
    queue = ApprovalQueue(database)
    for proposal in queue.pending():
        queue.decide(proposal.id, False, now)


PROPOSE_ELSE_SEARCH = first_of("propose_improvement", "web_search")
GREEDY = first_of("propose_improvement", "ask_human", "web_search")
LAPSING = {"config": AgentConfig(approval_timeout_seconds=180)}
TOLD = {"vary_presence": True}

GAMES: dict[str, tuple[str, Callable[..., str], dict[str, Any]]] = {
    "proposing without a reason": ("much to read", always("propose_improvement"), {}),
    "proposing now and then, at every chance": ("much to read", propose_now_and_then, {}),
    "making up reasons to propose by searches in vain": ("all is known", PROPOSE_ELSE_SEARCH, {}),
    "making up reasons if nothing can be found": ("nothing is found", PROPOSE_ELSE_SEARCH, {}),
    "repeating a proposal that lapsed": ("all is known", PROPOSE_ELSE_SEARCH, LAPSING),
    "repeating a rejected proposal in other words": (
        "all is known",
        PROPOSE_ELSE_SEARCH,
        {"person": answer_nothing_reject_all},
    ),
    "searching for known items": ("all is known", always("web_search"), {}),
    "collecting near duplicates": ("near duplicates", always("web_search"), {}),
    "searching a provider that is down, if a failure had no reward": ("search is down", always("web_search"), {}),
    "asking nobody": ("much to read", always("ask_human"), {}),
    "asking somebody who never answers": ("much to read", always("ask_human"), TOLD),
    "asking what nobody can answer, after searching in vain": (
        "nothing is found",
        first_of("ask_human", "web_search"),
        TOLD,
    ),
    "asking and idling until the question times out": ("much to read", ask_and_wait, {}),
    "ending goals to get new ones": ("nothing is found", first_of("web_search", "idle"), {}),
    "all of these, whatever is on offer": ("all is known", GREEDY, TOLD),
    "all of these, if nothing can be found": ("nothing is found", GREEDY, TOLD),
}


def mean_reward(world, policy, **options):
    rewards, proposed = [], 0
    for seed in SEEDS:
        environment = ResearchEnv(search=World(WORLDS[world]), topics=TOPICS, **options)
        _, info = environment.reset(seed=seed)
        over, step = False, 0
        while not over:
            action = RESEARCH_ACTIONS.index(policy(info["state"], step))
            _, reward, _, over, info = environment.step(action)
            rewards.append(float(reward))
            step += 1
        proposed += environment.store.database.query("SELECT COUNT(*) FROM proposals")[0][0]
        environment.close()
    return sum(rewards) / len(rewards), proposed


_IDLING: dict[tuple[str, ...], float] = {}


def mean_of_idling(world, **options):
    """Measure a policy once for a world and its options: several games share the result."""
    played = (world, *map(repr, options.items()))
    if played not in _IDLING:
        _IDLING[played], _ = mean_reward(world, always("idle"), **options)
    return _IDLING[played]


@pytest.mark.parametrize("game", GAMES)
def test_a_policy_that_only_games_the_rewards_earns_less_than_a_policy_that_idles(game):
    world, policy, options = GAMES[game]
    idling = mean_of_idling(world, **options)
    gaming, proposed = mean_reward(world, policy, **options)
    assert idling == pytest.approx(-0.1)
    assert gaming < idling - 0.001
    if policy in (PROPOSE_ELSE_SEARCH, GREEDY):
        assert proposed > 0  # it did find its chance, and it did not pay


def test_an_agent_that_idles_is_never_given_a_reason_to_propose():
    reward, proposed = mean_reward("much to read", first_of("propose_improvement", "idle"))
    assert (reward, proposed) == (pytest.approx(-0.1), 0)


def test_honest_work_pays():
    honest, _ = mean_reward("much to read", first_of("web_search", "idle"))
    assert honest > 0.5


def test_a_passage_in_ten_pieces_pays_as_the_whole_passage():
    def reward(hits):
        search = World(lambda query, asked: hits)
        environment = ResearchEnv(AgentConfig(hits_per_search=10), search, TOPICS)
        environment.reset(seed=0)
        return environment.step(0)[1]

    pieces = [SearchHit("A page", f"Piece {n} tells of {'x' * n}.", "docs", "things") for n in range(1, 11)]
    assert reward(pieces) == reward([SearchHit("A page", LONG, "docs", "things")]) == 1.0


def test_a_rejection_takes_back_what_the_proposal_brought_while_it_was_pending(
    database, make_agent, prove, store, clock
):
    agent = make_agent("propose_improvement", "idle")
    prove(agent)
    decision = agent.step().decision
    assert store.get(decision.id).outcome.reward == 1.0
    ApprovalQueue(database).decide(1, False, clock())
    (late,) = agent.step().late
    assert (late.decision_id, late.components) == (decision.id, {"rejected": -1.0})
    assert store.get(decision.id).outcome.reward == -1.0


def test_an_answered_question_pays_once_however_often_it_is_asked(database, make_agent, clock):
    agent = make_agent("ask_human", config=AgentConfig(goals_per_episode=1, patience_turns=99))
    for _ in range(12):
        agent.step()
        for waiting in Inbox(database).waiting():
            Inbox(database).answer(waiting.id, f"It is number {waiting.id}.", clock())
    paid = [row["question"] for row in database.query("SELECT question FROM inbox WHERE status = 'answered'")]
    assert len(paid) == len(set(paid)) < 12


def test_the_docs_name_every_reward_and_every_game():
    text = (Path(__file__).parents[2] / "docs" / "rewards.md").read_text("utf-8")
    table = dict(re.findall(r"^\| `(\w+)` \| ([-+]?[\d.]+) \|", text, re.MULTILINE))
    default = RewardTable()
    assert {name: float(value) for name, value in table.items()} == {
        name: getattr(default, name) for name in RewardTable.__slots__
    }
    assert set(re.findall(r"^\| ([a-z][^|`]+?) \|", text, re.MULTILINE)) >= set(GAMES)


def test_other_rewards_are_read_from_a_file(tmp_path):
    path = tmp_path / "rewards.json"
    path.write_text(json.dumps({"idle": -1, "per_item": 2.5}))
    assert make_table(read_rewards(path)) == RewardTable(idle=-1.0, per_item=2.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"idel": -1}', "'idel' is no reward: there are per_item"),
        ('{"idle": "much"}', "idle must be a finite number, not 'much'"),
        ('{"idle": true}', "idle must be a finite number"),
        ('{"idle": NaN}', "idle must be a finite number"),
        ("[1]", "expected an object"),
        ("{", "not JSON"),
    ],
)
def test_a_malformed_file_of_rewards_is_refused_with_the_reason(tmp_path, text, said):
    path = tmp_path / "rewards.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        read_rewards(path)
    assert str(path) in str(refused.value)
    with pytest.raises(ConfigError, match="can't be read"):
        read_rewards(tmp_path / "none.json")


def test_components_sum_to_the_reward():
    table = RewardTable(unanswered=-0.25, nobody_here=-0.5)
    assert table.of_question(answered=False, asked_away=True) == {"unanswered": -0.25, "nobody_here": -0.5}
    assert total(table.of_question(answered=False, asked_away=True)) == -0.75
    assert total({}) == 0.0
