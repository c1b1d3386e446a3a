"""Any Gymnasium environment, from an expert's episodes to an HRM that plays by itself; a corridor stands for it."""

from __future__ import annotations

from typing import Any

import gymnasium
import pytest

import aegis
from aegis.config import HRMConfig, TrainingConfig
from aegis.door import DeciderConfig
from aegis.envs import choose_at_random, from_gymnasium
from aegis.errors import ConfigError, DataError, TeacherMismatchError
from aegis.lifecycle import open_store
from aegis.types import Choice

ACTIONS = ("left", "right", "wait")
LENGTH = 7


class Corridor(gymnasium.Env[int, int]):
    """Cells in a row; a sign names the end that earns 1. Each step costs 0.01. Nothing ends while the agent waits."""

    def __init__(self, start: int = 0) -> None:
        self.action_space: Any = gymnasium.spaces.Discrete(len(ACTIONS), start=start)
        self.observation_space: Any = gymnasium.spaces.Discrete(LENGTH)
        self.place, self.sign, self.steps, self.number = 0, "left", 0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(1, LENGTH - 1))
        self.sign = ("left", "right")[int(self.np_random.integers(2))]
        self.steps = 0
        self.number = int(self.np_random.integers(10_000))
        return self.place, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Walk one cell, or wait."""
        self.steps += 1
        self.place += (-1, 1, 0)[action - self.action_space.start]
        over = self.place in (0, LENGTH - 1)
        won = over and (self.place == 0) == (self.sign == "left")
        return self.place, float(won) - 0.01, over, self.steps >= 20 and not over, {}


def describe(env: Any, observation: int) -> dict[str, Any]:
    """Return what the agent knows."""
    return {"sign": env.unwrapped.sign, "cells to the left": observation, "corridor": env.unwrapped.number}


def follow_the_sign(env: Any, observation: int) -> str:
    """Return the action of one who reads the sign."""
    return str(env.unwrapped.sign)


TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
QUICK = DeciderConfig(model=TINY, training=TrainingConfig(epochs=12, learning_rate=3e-3, checkpoint_every_epochs=12))


@pytest.fixture
def make_agent(tmp_path):
    def make(env=Corridor, **options):
        return from_gymnasium(env, describe, ACTIONS, name="corridor", workspace=tmp_path, config=QUICK, **options)

    return make


def follow_the_sign_again():
    """Return the same expert as a decider's teacher, which is recorded by its name."""

    def teacher(state, actions):
        return state["sign"]

    teacher.__name__ = follow_the_sign.__name__
    return teacher


@pytest.mark.long
def test_an_expert_is_recorded_and_learned_and_the_hrm_then_plays_as_well(make_agent, tmp_path):
    agent = make_agent()
    agent.collect(follow_the_sign, episodes=80)
    outcome = agent.train()
    assert outcome.serving is not None, outcome.verdict.lines
    hrm, expert = agent.evaluate(episodes=30), agent.evaluate(follow_the_sign, episodes=30)
    chance = agent.evaluate(choose_at_random(), episodes=30)
    assert (hrm.policy, expert.success_rate) == ("hrm@1", 1.0)
    assert hrm.success_interval[0] > chance.success_interval[1]
    assert hrm.mean_return > chance.mean_return
    # A decider of the same point continues with the HRM.
    with aegis.Decider("corridor", ACTIONS, follow_the_sign_again(), workspace=tmp_path, config=QUICK) as decider:
        decided = decider.decide({"sign": "right", "cells to the left": 3, "corridor": 1234})
    assert (decided.action, decided.policy) == ("right", "hrm@1")
    # Nothing draws: the same episodes come again, one at a time, too.
    again = make_agent(Corridor()).evaluate(episodes=30)
    assert again.returns == hrm.returns


def test_each_decision_is_recorded_with_its_state_and_its_reward_and_an_episode_only_once(make_agent):
    agent = make_agent()
    made = agent.collect(follow_the_sign, episodes=3, seed=5)
    assert agent.collect(follow_the_sign, episodes=3, seed=5) == 0
    assert agent.collect(follow_the_sign, episodes=4, seed=5) > 0
    with open_store(agent.workspace) as store:
        examples = list(store.examples())
    first = [example for example in examples if example.decision.episode == "seed-5"]
    assert {example.decision.episode for example in examples} == {"seed-5", "seed-6", "seed-7", "seed-8"}
    assert len(examples) > made > len(first)
    assert [example.decision.step for example in first] == list(range(len(first)))
    assert [example.outcome.reward for example in first] == pytest.approx([-0.01] * (len(first) - 1) + [0.99])
    assert first[0].decision.policy == "follow_the_sign"
    assert first[0].decision.state["sign"] == first[0].decision.action.name


def test_a_seed_that_was_learned_from_measures_nothing(make_agent):
    agent = make_agent()
    agent.collect(follow_the_sign, episodes=2, seed=100)
    with pytest.raises(ConfigError, match="seed 101: its episode is recorded"):
        agent.evaluate(follow_the_sign, episodes=5, seed=101)
    with pytest.raises(ConfigError, match="no HRM serves here: collect and train first"):
        agent.evaluate(episodes=5)


@pytest.mark.parametrize("episodes", [0, -1, 1.5, "2"])
def test_no_episode_is_no_number_of_episodes(make_agent, episodes):
    agent = make_agent()
    for play in (agent.collect, agent.evaluate):
        with pytest.raises(ConfigError, match="episodes must be a whole number from 1, not"):
            play(follow_the_sign, episodes=episodes)


def test_a_policy_is_asked_about_many_environments_at_once(make_agent):
    asked = []

    class Reader:
        name, parameters = "reader", 0

        def decide(self, states, actions):
            asked.append(len(states))
            return [
                Choice.best([float(name == state["sign"]) for name in actions.names], actions, "reader")
                for state in states
            ]

    found = make_agent().evaluate(Reader(), episodes=10)
    assert asked[0] == 10
    assert sum(asked) == found.decisions
    assert found.seeds == tuple(range(1_000_000, 1_000_010))
    assert "reader: success 100.0% (69.2% to 100.0%)" in str(found)
    assert found.to_record()["episodes"] == 10


def test_what_succeeds_is_the_environments_to_say_or_the_owners(make_agent):
    class Says(Corridor):
        def step(self, action):
            *rest, _ = super().step(action)
            return *rest, {"is_success": False}

    assert make_agent(Says).evaluate(follow_the_sign, episodes=5).success_rate == 0
    short = make_agent(succeeded=lambda episode: len(episode.turns) <= 3).evaluate(follow_the_sign, episodes=30)
    assert 0 < short.success_rate < 1


def test_actions_may_begin_at_another_number_and_experts_may_answer_by_place(make_agent):
    agent = make_agent(lambda: Corridor(start=4))
    found = agent.evaluate(lambda env, observation: ACTIONS.index(env.unwrapped.sign), episodes=10, name="by place")
    assert (found.policy, found.success_rate) == ("by place", 1.0)


@pytest.mark.parametrize("answer", ["up", 3, -1, None, 0.0 + 1j])
def test_an_answer_that_is_no_action_is_refused(make_agent, answer):
    with pytest.raises(DataError, match="return one of left, right, wait, or a place from 0 to 2"):
        make_agent().collect(lambda env, observation: answer, episodes=1)


def test_an_environment_that_can_not_be_decided_is_refused(make_agent, tmp_path):
    class Wide(Corridor):
        def __init__(self):
            super().__init__()
            self.action_space = gymnasium.spaces.Box(0.0, 1.0)

    with pytest.raises(ConfigError, match="only Discrete ones"):
        make_agent(Wide)
    with pytest.raises(ConfigError, match="has 3 actions and 2 names were given"):
        from_gymnasium(Corridor, describe, ["left", "right"], workspace=tmp_path)
    with pytest.raises(ConfigError, match="its id, or a function"):
        make_agent(7)


def test_an_environment_may_be_named_by_its_id_and_another_expert_is_refused(make_agent, tmp_path):
    agent = from_gymnasium(
        "CartPole-v1", lambda env, observation: {"angle": float(observation[2])}, ["left", "right"], workspace=tmp_path
    )

    def lean(env, observation):
        return int(observation[2] > 0)

    assert agent.collect(lean, episodes=2) > 20
    agent.close()
    with pytest.raises(TeacherMismatchError):
        agent.collect(choose_at_random(), episodes=3)


def test_a_state_that_is_no_json_is_refused(tmp_path):
    agent = from_gymnasium(Corridor, lambda env, observation: {"at": object()}, ACTIONS, workspace=tmp_path)
    with pytest.raises(DataError, match="must be JSON"):
        agent.collect(follow_the_sign, episodes=1)
