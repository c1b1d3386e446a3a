"""BabyAI in words: what the agent sees, remembers and carries, and the bot's way through both levels."""

from __future__ import annotations

import gymnasium
import pytest

pytest.importorskip("minigrid", reason="minigrid is not installed: pip install 'aegis-hrm[babyai]'")

from benchmarks.babyai.__main__ import compare, make_agent, to_table
from benchmarks.babyai.level import ACTIONS, Remembering, ask_bot, describe


@pytest.fixture
def begin():
    def begin(level, seed):
        env = Remembering(gymnasium.make(f"BabyAI-{level}-v0"))
        observation, _ = env.reset(seed=seed)
        return env, observation

    return begin


def test_the_state_says_where_the_missions_things_are_in_the_agents_own_frame(begin):
    env, observation = begin("GoToLocal", 3)
    state = describe(env, observation)
    assert (state["mission"], state["goal 1"], state["carrying"]) == ("go to the red key", "3 ahead 2 right", "nothing")
    assert state["beside"] == {"front": "free", "left": "wall", "right": "free"}
    assert "red key 3 ahead 2 right" in state["others"]
    observation, *_ = env.step(ACTIONS.index("right"))
    turned = describe(env, observation)
    assert (turned["goal 1"], turned["last actions"]) == ("2 ahead 3 left", "right")


def test_what_was_seen_is_remembered_when_it_is_out_of_sight(begin):
    env, observation = begin("GoToLocal", 3)
    for action in ("right", "right"):
        observation, *_ = env.step(ACTIONS.index(action))
    assert describe(env, observation)["goal 1"] == "3 behind 2 left"


def test_a_level_is_drawn_without_a_word_on_the_screen(begin, capsys):
    for seed in range(30):
        begin("PutNextLocal", seed)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("level", ["GoToLocal", "PutNextLocal"])
def test_the_bot_reaches_the_goal_even_after_a_detour(begin, level):
    env, observation = begin(level, 5)
    for action in ("left", "left", "left"):
        ask_bot(env, observation)
        observation, *_ = env.step(ACTIONS.index(action))
    reward, over = 0.0, False
    carried = set()
    while not over:
        carried.add(describe(env, observation)["goal 1"] == "carried")
        observation, reward, terminated, truncated, _ = env.step(ask_bot(env, observation))
        over = terminated or truncated
    assert reward > 0
    assert (True in carried) == (level == "PutNextLocal")


def test_the_bot_is_collected_and_measured_beside_random_actions(tmp_path):
    agent = make_agent("GoToLocal", tmp_path)
    assert agent.collect(ask_bot, 3) > 3
    found = agent.evaluate(ask_bot, 4, name="the bot")
    agent.close()
    assert found.success_rate == 1.0
    table = to_table(
        [{"level": "GoToLocal", "bot_episodes": 3, "gain": compare(found, found), "rows": [found.to_record()]}]
    )
    *_, row, _, gain = table.splitlines()
    assert "successes +0.000 (+0.000 to +0.000)" in gain
    assert row.startswith("| GoToLocal | 3 | the bot | 100.0% (39.8% to 100.0%) | 0.9")


def test_a_mission_that_is_not_done_in_time_has_failed_and_nothing_comes_after_it(begin):
    env, _ = begin("GoToLocal", 3)
    steps = [env.step(ACTIONS.index("left")) for _ in range(env.unwrapped.max_steps)]
    assert [step[1:4] for step in steps[-2:]] == [(0, False, False), (0, True, False)]
