"""Policies are compared in the same worlds, with intervals over worlds."""

from __future__ import annotations

import math

import pytest

from aegis.config import AgentConfig
from aegis.errors import ConfigError
from aegis.experiments.evaluation import (
    EpisodeResult,
    evaluate,
    fixed_policies,
    summarise,
    within_world,
)
from aegis.research import RESEARCH_ACTIONS
from aegis.research.environment import ResearchEnv
from aegis.research.search import SearchHit
from aegis.testing import ScriptedTeacher, check_policy


class Library:
    name = "library"

    def search(self, query, limit):
        return [SearchHit(query, f"About {query}.", "docs", "things")]


@pytest.fixture
def environment():
    return ResearchEnv(AgentConfig(episode_length=8), Library(), ["json", "csv", "zlib"])


def test_fixed_policies_keep_the_contract():
    policies = fixed_policies()
    assert list(policies) == ["web_search", "ask_human", "propose_improvement", "idle", "random", "rule"]
    for name, policy in policies.items():
        assert policy.name == name
        if name != "propose_improvement":  # which is not on the list that the check asks about
            check_policy(policy)


def test_every_policy_meets_the_same_worlds_and_a_repeated_run_gives_the_same_rewards(environment):
    policies = fixed_policies()
    first = list(evaluate(policies, environment, [0, 1], 2))
    assert first == list(evaluate(policies, environment, [0, 1], 2))
    assert [(one.seed, one.episode) for one in first if one.policy == "idle"] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {one.rewards for one in first if one.policy == "idle"} == {(-0.1,) * 8}
    assert all(sum(one.actions.values()) == len(one.rewards) == 8 for one in first)
    draws = {tuple(sorted(one.actions.items())) for one in first if one.policy == "random"}
    assert len(draws) > 1


def test_policies_act_by_their_most_probable_action_and_a_worlds_episodes_follow_each_other(environment):
    teacher = ScriptedTeacher(lambda state, actions: [0.0, 0.0, 0.0, 1e-3], name="nearly even")
    results = list(evaluate({"one": teacher}, environment, [3], 2))
    assert [result.actions for result in results] == [{"idle": 8}] * 2
    decisions = list(environment.store.decisions())
    assert {decision.policy for decision in decisions} == {"nearly even"}
    assert len(decisions) == 16
    assert len({decision.episode for decision in decisions}) == 2


def test_a_world_with_a_past_has_less_left_to_find(environment):
    def mean(lived):
        world = ResearchEnv(AgentConfig(episode_length=8), Library(), ["json", "csv", "zlib"], lived=lived)
        (row,) = summarise(list(evaluate({"rule": fixed_policies()["rule"]}, world, [0, 1, 2], 1)))
        return row.reward

    assert mean(0) > mean(40)


def test_the_rule_searches_what_is_new_else_proposes_else_idles():
    rule = fixed_policies()["rule"]
    for options, chosen in (
        (["search: a", "propose: b", "idle"], 0),
        (["ask: a", "propose: b", "idle"], 2),
        (["ask: a", "idle"], 3),
        ([], 3),
    ):
        (choice,) = rule.decide([{"options": options}], RESEARCH_ACTIONS)
        assert choice.action == RESEARCH_ACTIONS.names[chosen]
        assert choice.probabilities[chosen] == 1.0


def test_rows_are_means_over_worlds_the_best_first():
    results = [EpisodeResult("bad", k, 0, (0.0, 2.0 * k), {"idle": 2}) for k in range(3)]
    results += [EpisodeResult("good", k, 0, (4.0, 4.0), {"web_search": 1, "idle": 1}) for k in range(3)]
    good, bad = summarise(results)
    assert (good.policy, good.reward, good.interval) == ("good", 4.0, (4.0, 4.0))
    assert (bad.reward, bad.worlds, bad.decisions) == (1.0, 3, 6)
    half = 4.302652729911275 / math.sqrt(3)  # t of 2 degrees of freedom, and a standard deviation of 1
    assert bad.interval == pytest.approx((1 - half, 1 + half))
    assert good.actions == {"web_search": 0.5, "ask_human": 0.0, "propose_improvement": 0.0, "idle": 0.5}


def test_curves_within_a_world_are_running_means_at_the_ends_of_episodes():
    points = within_world([EpisodeResult("p", 0, k, (1.0, 3.0 + 2 * k), {"idle": 2}) for k in range(2)])
    assert [(point.series, point.decisions, point.reward) for point in points] == [("p", 2, 2.0), ("p", 4, 2.5)]


def test_a_single_world_has_no_interval():
    (row,) = summarise([EpisodeResult("p", 0, 0, (1.0, 3.0), {"idle": 2})])
    assert (row.reward, row.interval) == (2.0, None)


@pytest.mark.parametrize(("seeds", "episodes"), [([], 1), ([0], 0)])
def test_nothing_to_evaluate_is_refused(environment, seeds, episodes):
    with pytest.raises(ConfigError):
        list(evaluate(fixed_policies(), environment, seeds, episodes))
