"""The agent's world keeps Gymnasium's contract, and is the agent itself."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from aegis.config import AgentConfig
from aegis.errors import ConfigError
from aegis.research import RESEARCH_ACTIONS, ApprovalQueue, Inbox
from aegis.research.environment import ENVIRONMENT_ID, ResearchEnv, register
from aegis.research.features import FEATURES, features
from aegis.research.search import SearchHit
from aegis.types import Choice

SEARCH, ASK, PROPOSE, IDLE = range(4)
TOPICS = ("sqlite3", "json", "zlib", "csv")


class Library:
    """Finds a passage for each query, always the same for the same query."""

    name = "library"

    def search(self, query, limit):
        return [SearchHit(query, f"About {query} tells `{query.title().replace(' ', '')}Thing`.", "docs", "things")]


def make(**options):
    given: dict[str, Any] = {"search": Library(), "topics": TOPICS}
    return ResearchEnv(**(given | options))


def live(environment, seed, actions):
    seen = [environment.reset(seed=seed)]
    seen += [environment.step(action) for action in actions]
    return seen


def test_gymnasiums_own_checker_passes():
    environment = gymnasium.make(ENVIRONMENT_ID, render_mode="ansi", search=Library(), topics=TOPICS).unwrapped
    check_env(environment)


def test_stable_baselines3s_checker_passes():
    from stable_baselines3.common.env_checker import check_env as check

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(make())


def test_the_same_seed_lives_the_same_life_and_another_seed_lives_another():
    actions = [SEARCH, SEARCH, ASK, IDLE, PROPOSE] * 4
    one, other, third = live(make(), 7, actions), live(make(), 7, actions), live(make(), 8, actions)
    for (seen, *rest), (again, *same) in zip(one, other, strict=True):
        assert np.array_equal(seen, again)
        assert rest == same
    assert one[0][1]["state"] != third[0][1]["state"]
    assert one[1][4]["decision"] != third[1][4]["decision"]


def test_another_process_lives_the_same_life():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_environment import live, make\n"
        "print([seen[4] for seen in live(make(), 3, [0, 0, 1, 3] * 5)[1:]])"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == str([seen[4] for seen in live(make(), 3, [0, 0, 1, 3] * 5)[1:]])


def test_a_reset_without_a_seed_is_the_next_episode_and_with_a_seed_a_fresh_world():
    environment = make()
    first = environment.reset(seed=1)[1]["state"]
    environment.step(SEARCH)
    second = environment.reset()[1]["state"]
    assert environment.store.count() == 1
    assert second["goals"] != first["goals"]
    again = environment.reset(seed=1)[1]["state"]
    assert environment.store.count() == 0
    assert again == first


def test_a_world_with_a_past_is_the_same_for_the_same_seed_and_knows_what_was_found():
    environment = make(lived=30)
    first = environment.reset(seed=1)[1]["state"]
    assert environment.store.count() == 30
    assert {decision.policy for decision in environment.store.decisions()} == {"before"}
    environment.step(SEARCH)
    assert environment.reset(seed=1)[1]["state"] == first
    assert make(lived=30).reset(seed=1)[1]["state"] == first
    with pytest.raises(ConfigError, match="lived"):
        make(lived=-1)


def test_an_episode_is_as_long_as_configured_and_truncated_then():
    environment = make(config=AgentConfig(episode_length=5))
    ends = [step[2:4] for step in live(environment, 0, [IDLE] * 5)[1:]]
    assert ends == [(False, False)] * 4 + [(False, True)]
    with pytest.raises(gymnasium.error.ResetNeeded):
        environment.step(IDLE)
    assert len({decision.episode for decision in environment.store.decisions()}) == 1


def test_a_late_outcome_is_in_the_reward_of_the_step_in_which_it_comes():
    environment = make(config=AgentConfig(answer_timeout_seconds=150))
    steps = live(environment, 0, [ASK, IDLE, IDLE, IDLE])[1:]
    assert [step[1] for step in steps] == pytest.approx([0.0, -0.1, -0.1 - 0.2, -0.1])
    asked = steps[0][4]
    assert (asked["outcome"], asked["components"]) == ("unknown", {})
    assert steps[2][4]["late"] == {asked["decision"]: {"unanswered": -0.1, "nobody_here": -0.1}}


@pytest.mark.parametrize("vary_presence", [False, True])
def test_an_episodes_rewards_sum_to_the_newest_rewards_of_its_decisions(vary_presence):
    def person(database, now):
        for question in Inbox(database).waiting()[:1]:
            if question.id % 2:
                Inbox(database).answer(question.id, f"It is {question.id}.", now)
        for proposal in ApprovalQueue(database).pending():
            ApprovalQueue(database).decide(proposal.id, proposal.id % 2 == 0, now)

    environment = make(vary_presence=vary_presence, person=person, search=Nothing())
    for seed in range(3):
        actions = [SEARCH, SEARCH, SEARCH, PROPOSE, ASK, SEARCH, SEARCH, SEARCH, PROPOSE, IDLE] * 2
        brought = sum(step[1] for step in live(environment, seed, actions)[1:])
        examples = list(environment.store.examples())
        assert len(examples) == 20
        assert {example.outcome.status for example in examples} <= {"ok", "failed"}
        assert brought == pytest.approx(sum(example.outcome.reward for example in examples))
        kinds = {kind for example in examples for kind in example.outcome.components}
        assert {"nothing_found", "approved", "rejected", "idle"} <= kinds


class Nothing:
    name = "nothing"

    def search(self, query, limit):
        return []


def test_a_closed_environment_leaves_no_files_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    environment = make()
    live(environment, 0, [SEARCH] * 20)
    environment.close()
    assert list(tmp_path.iterdir()) == []


def test_the_state_and_the_decision_are_those_of_the_agent():
    environment = make()
    _, info = environment.reset(seed=0)
    state = info["state"]
    observation, *_, info = environment.decide(Choice((0.1, 0.2, 0.3, 0.4), "idle", "somebody"))
    (example,) = environment.store.examples()
    assert example.decision.state == state
    assert (example.decision.id, example.decision.policy) == (info["decision"], "somebody")
    assert example.decision.probabilities == (0.1, 0.2, 0.3, 0.4)
    assert np.array_equal(observation, features(info["state"]))


def test_each_action_is_its_place_in_the_list():
    environment = make()
    for place, name in enumerate(RESEARCH_ACTIONS.names):
        environment.reset(seed=0)
        assert environment.step(np.int64(place))[4]["action"] == name


def test_time_that_does_not_pass_is_refused_and_a_second_registration_does_no_harm():
    with pytest.raises(ConfigError, match="seconds_per_decision"):
        make(seconds_per_decision=0)
    register()


def test_features_are_numbers_from_0_to_1_and_tell_states_apart():
    full = {
        "human": "here",
        "options": ["search: What is WAL? and 2 more", "propose: better hits", "idle"],
        "idle_turns": 99,
        "knowledge": {"facts": 3, "latest": "x"},
        "recent": ["search found 1", "ask waiting", "search found nothing"],
        "waiting": {"answers": 1, "approvals": 0},
    }
    row = features(full)
    assert row.shape == (FEATURES,)
    assert row.dtype == np.float32
    assert row[:9] == pytest.approx([1, 1, 0, 1, 3 / 5, 1, 3 / 20, 1 / 5, 0])
    assert row[9:21] == pytest.approx([1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0])  # the newest first
    odd: list[Any] = [{}, {"options": None, "waiting": 3}, {"note": "\x00 日本 \ud83d" * 500}, {"recent": ["a"] * 9}]
    for state in odd:
        values = features(state)
        assert ((values >= 0) & (values <= 1)).all()
    assert not np.array_equal(features(odd[0]), features(odd[2]))
