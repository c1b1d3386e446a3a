"""Phase 4 in an environment: a tiny HRM that knows nothing learns from its own episodes which end of a walk pays."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import gymnasium
import pytest
import torch

from aegis.config import HRMConfig
from aegis.door import DeciderConfig
from aegis.door.given import make_actions
from aegis.envs import from_gymnasium
from aegis.envs.episode import Episode, Turn
from aegis.envs.improvement import EPISODIC, FIRST_SEED, EpisodeLearning
from aegis.errors import ConfigError
from aegis.hrm import HRM, HRMPolicy, StateCodec
from aegis.lifecycle import open_store
from aegis.lifecycle.policies.tempered import SamplingPolicy
from aegis.promotion import ModelRegistry
from aegis.store import ImprovementLog
from aegis.types import Choice

ACTIONS = ("left", "right")
TINY = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=1)
FAST = replace(EPISODIC, every=64, window=64, learning_rate=3e-3, kl=0.0, kl_bound=0.2, temperature=1.0, bf16=False)


class Walk(gymnasium.Env[int, int]):
    """Five cells in a row; the end on one side earns 1, the other nothing."""

    paying = "right"

    def __init__(self) -> None:
        self.action_space: Any = gymnasium.spaces.Discrete(2)
        self.observation_space: Any = gymnasium.spaces.Discrete(5)
        self.place = self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self.place, self.steps = int(self.np_random.integers(1, 4)), 0
        return self.place, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Walk one cell."""
        self.place += (-1, 1)[action]
        self.steps += 1
        over = self.place in (0, 4)
        won = over and (self.place == 4) == (self.paying == "right")
        return self.place, float(won), over, not over and self.steps >= 12, {}


@pytest.fixture
def make_agent(tmp_path):
    """Return a function that makes an agent of a kind of walk, in whose workspace an HRM serves that knows nothing."""

    def make(env=Walk, serves: bool = True, reinforce=FAST):
        config = DeciderConfig(reinforce=reinforce)
        agent = from_gymnasium(env, lambda env, at: {"at": at}, ACTIONS, workspace=tmp_path, config=config)
        if serves:
            with open_store(agent.workspace) as store, torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                policy = HRMPolicy(HRM(TINY), StateCodec(32), agent.actions)
                ModelRegistry(store, agent.workspace).promote(policy.save_as)
        return agent

    return make


def worst_way(agent) -> str:
    """Return the end that the HRM walks to least, so that an environment that pays there has most to teach."""
    return "right" if agent.evaluate(episodes=20).success_rate < 0.5 else "left"


def test_an_hrm_learns_from_its_own_episodes_and_serves_where_it_surely_earns_more(make_agent):
    side = worst_way(make_agent())

    class Pays(Walk):
        paying = side

    agent = make_agent(Pays, serves=False)
    heard = []
    found = agent.improve(60, compared=10, measured=20, progress=lambda stage, done, total: heard.append(stage))
    assert found.measured_before.success_rate < 0.5 < found.measured_after.success_rate
    assert found.gain.low > 0
    assert found.measured_after.seeds == found.measured_before.seeds == tuple(found.seeds)[-20:]
    assert (found.episodes, found.refused, found.seeds) == (60, 0, range(FIRST_SEED, FIRST_SEED + 90))
    assert len(set(heard)) == 3
    # The improved version serves, with its evidence; others can play it.
    assert agent.evaluate(episodes=20).policy == "hrm@2"
    assert agent.evaluate(episodes=20).success_rate > 0.5
    assert agent.evaluate("hrm@1", episodes=20).success_rate < 0.5
    with pytest.raises(ConfigError, match="no HRM 'hrm@7' here: there are hrm@1, hrm@2"):
        agent.evaluate("hrm@7", episodes=20)
    with open_store(agent.workspace) as store:
        version = ModelRegistry(store, agent.workspace).models()[-1]
        curve = ImprovementLog(store.database).all("hrm@1")
        assert store.newest() == 0  # its episodes are not recorded as decisions to imitate
    assert (version.name, version.serves, version.promoted_by) == ("hrm@2", True, "improvement")
    assert "per episode more than hrm@1 in 20 episodes that no choice had seen" in version.reason
    assert version.figures["improvement"]["gain"] == found.gain.mean
    assert len(curve) == found.updates > 2
    assert curve[-1].learned == found.decisions


def test_a_version_that_earns_no_more_is_kept_and_does_not_serve_and_the_next_takes_fresh_seeds(make_agent):
    agent = make_agent(reinforce=replace(FAST, learning_rate=1e-12))
    found = agent.improve(4, compared=2, measured=4)
    assert (found.gain.mean, found.serving) == (0.0, None)
    assert str(found).endswith("return +0.000 (95% interval +0.000 to +0.000); hrm@2 is kept and does not serve")
    assert agent.evaluate(episodes=2).policy == "hrm@1"
    assert agent.improve(4, compared=2, measured=4).seeds.start == found.seeds.stop
    with pytest.raises(ConfigError, match="an improvement has used the seeds from 2000000 to 2000009"):
        agent.evaluate(episodes=5, seed=FIRST_SEED + 9)
    with pytest.raises(ConfigError, match="an improvement has used"):
        agent.improve(4, compared=2, measured=4, seed=FIRST_SEED - 3)


def test_episodes_that_were_recorded_and_workspaces_without_an_hrm_are_refused(make_agent):
    agent = make_agent(serves=False)
    with pytest.raises(ConfigError, match="no HRM serves here: collect and train first"):
        agent.improve(4, compared=2, measured=4)
    agent.collect(lambda env, at: "right", episodes=2, seed=7)
    with pytest.raises(ConfigError, match="seed 7: its episode is recorded"):
        agent.improve(4, compared=2, measured=4, seed=0)
    with pytest.raises(ConfigError, match="at least 1 episode to learn from"):
        agent.improve(0)


def test_an_update_learns_from_whole_episodes_and_only_an_end_by_the_environment_ends_one(make_agent):
    seen = []

    class Listens:
        temperature, config = 1.0, replace(FAST, every=30, window=50)

        def update(self, trajectories, new):
            seen.append((trajectories, new))

    class Uneven:
        name, parameters, actions = "uneven", 0, make_actions(["right", "left"])

        def decide(self, states, actions):
            return [Choice((0.25, 0.75), "right", self.name)] * len(states)

    actions = make_agent(serves=False).actions

    def play(policy, seeds):
        for seed in reversed(seeds):
            turns = [Turn({"seed": seed}, choice, 1.0) for choice in policy.decide([{}] * 10, actions)]
            yield Episode(seed, turns, terminated=seed % 2 == 0)

    drawing = SamplingPolicy(Uneven(), Listens.temperature, random.Random(0))
    learning = EpisodeLearning(drawing, Uneven.actions, Listens(), play, actions)  # type: ignore[arg-type]
    learning.run(range(15), lambda: None)
    sizes = [(len(trajectories), new) for trajectories, new in seen]
    assert sizes == [(8, 80), (5, 30), (5, 30), (5, 10)]
    last = seen[-1][0]
    assert [one[0].state["seed"] for one in last] == [10, 11, 12, 13, 14]
    assert [[step.ends for step in one].index(True) if one[-1].ends else None for one in last] == [9, None] * 2 + [9]
    # The HRM's own order of actions is kept, and so are the probabilities of the draw.
    assert {one.probabilities for trajectory in last for one in trajectory} == {(0.75, 0.25)}
    drawn = [one.action for trajectories, _ in seen for trajectory in trajectories for one in trajectory]
    assert 0.6 < drawn.count(0) / len(drawn) < 0.9
