"""Which actions an HRM can hardly learn from what was collected."""

from __future__ import annotations

from aegis.config import RARE_ACTION_DECISIONS, TrainingConfig
from aegis.lifecycle import describe_rare_actions, find_rare_actions
from aegis.promotion.judging.by_episode import EpisodeSums
from aegis.research import RESEARCH_ACTIONS
from aegis.research.run.standing import advise

NAMES = RESEARCH_ACTIONS.names


def test_an_action_with_few_examples_is_rare_and_the_rarest_action_comes_first():
    alone = {"web_search": 700, "idle": 443, "ask_human": 10, "propose_improvement": 2}
    rare = find_rare_actions(alone, 1100, NAMES)
    assert list(rare.items()) == [("propose_improvement", 2), ("ask_human", 10)]
    assert describe_rare_actions(rare).endswith(": collect more")
    assert "--vary-presence" in describe_rare_actions(rare, advise)
    assert "aegis inbox" in describe_rare_actions(rare, advise)
    assert describe_rare_actions({"idle": 1}, advise).endswith(": collect more")


def test_of_an_action_that_was_never_taken_it_is_said_what_follows_and_not_to_collect_more():
    follows = "The teacher never took fly: an HRM can't learn it: go on without, or retire (`retired`)"
    assert describe_rare_actions({"fly": 0}) == follows
    both = describe_rare_actions({"fly": 0, "idle": 3})
    assert both == f"An HRM can hardly learn idle (3): 30 examples of each are the least: collect more. {follows}"
    agent = describe_rare_actions({"propose_improvement": 0}, advise)
    assert agent.startswith("The teacher never took propose_improvement: so far an HRM can't learn it: look into")
    twice = describe_rare_actions({"propose_improvement": 0, "ask_human": 4}, advise)
    assert twice.count("aegis inbox") == 1
    assert twice.endswith("The teacher never took propose_improvement: so far an HRM can't learn it; the same helps")


def test_an_action_without_examples_is_rare_and_without_rare_actions_there_is_no_message():
    three = {"web_search": 500, "idle": 300, "ask_human": 300}
    assert find_rare_actions(three, 1100, NAMES) == {"propose_improvement": 0}
    every = dict.fromkeys(("web_search", "idle", "ask_human", "propose_improvement"), RARE_ACTION_DECISIONS)
    assert find_rare_actions(every, 120, NAMES) == {}
    assert describe_rare_actions({}) == ""


def test_before_the_training_the_expected_examples_count_and_a_few_decisions_give_no_message():
    early = {"web_search": 60, "idle": 30, "ask_human": 9, "propose_improvement": 1}
    assert find_rare_actions(early, 1100, NAMES) == {"propose_improvement": 1}
    assert find_rare_actions({"web_search": 50}, 1100, NAMES) == {}


def test_the_least_number_is_where_a_flawless_recall_of_one_episode_is_surely_above_half():
    heldout = int(RARE_ACTION_DECISIONS * TrainingConfig().heldout_share)
    lows = [_lower_bound(n) for n in (heldout - 1, heldout)]
    assert lows[0] < 0.5 < lows[1]


def _lower_bound(found: int) -> float:
    """Return the lower bound of the recall of an action that was found each time, in a single episode."""
    sums = EpisodeSums()
    sums.add(found, found)
    return sums.interval()[0]


def test_an_answer_in_words_that_was_never_given_is_not_missed():
    taken = {"refund": 700, "close": 400}
    assert find_rare_actions(taken, 1100, [*taken, "answer_in_text", "escalate"]) == {"escalate": 0}
    assert find_rare_actions(taken | {"answer_in_text": 2}, 1100, [*taken, "answer_in_text"]) == {"answer_in_text": 2}
