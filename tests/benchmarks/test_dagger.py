from __future__ import annotations

import random

import numpy as np
import pytest

from aegis.config import HRMConfig, TrainingConfig
from aegis.types import Action, Decision
from benchmarks.dagger import RULES, Doubts, divide, read_lines, run_seed, summarise

ACTIONS = ("web_search", "ask_human", "propose_improvement", "idle")
TINY = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=2)


def decisions(count: int) -> list[Decision]:
    draw, made = random.Random(0), []
    for number in range(count):
        action = draw.choice(ACTIONS)
        state = {"cue": f"now {action} please", "number": number}
        made.append(Decision(f"e{number // 10}", number % 10, state, ACTIONS, Action(action), None, "t"))
    return made


def doubts(count: int = 200) -> Doubts:
    rng = np.random.default_rng(0)
    return Doubts(
        rng.dirichlet([0.5] * 4, count), rng.normal(size=(count, 6)), rng.normal(size=(50, 6)), rng.random(count) < 0.3
    )


def test_the_parts_are_whole_episodes_and_the_fresh_states_occur_in_no_other_part():
    given = decisions(300)
    given[5] = Decision("e29", 99, given[250].state, ACTIONS, given[250].action, None, "t")
    parts = divide(given, 100, 80, seed=3)
    episodes = [{one.episode for one in part} for part in (parts.train, parts.pool, parts.fresh)]
    assert not episodes[0] & episodes[1]
    assert not (episodes[0] | episodes[1]) & episodes[2]
    assert len(parts.train) >= 100
    known = [one.state["number"] for one in (*parts.train, *parts.pool)]
    assert not set(known) & {one.state["number"] for one in parts.fresh}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_chooses_as_many_and_none_twice(rule):
    chosen = RULES[rule](doubts(), 40, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 40
    assert chosen.max() < 200


def test_the_rules_choose_what_their_names_say():
    given, rng = doubts(), np.random.default_rng(0)
    lead, confidence = given.lead, given.probabilities.max(axis=1)
    assert lead[RULES["lead"](given, 40, rng)].max() <= np.sort(lead)[40]
    assert confidence[RULES["confidence"](given, 40, rng)].max() <= np.sort(confidence)[40]
    assert given.overruled[RULES["overruled"](given, 40, rng)].all()


def test_a_stopped_run_continues_with_the_missing_trainings(tmp_path):
    file, given = tmp_path / "d.jsonl", decisions(300)
    training = TrainingConfig(epochs=1, bf16=False)
    for rules in (["random"], ["random", "confidence"]):
        run_seed(given, 0, rules, training, file, (100, 20, 60), TINY)
        with file.open("a") as out:
            out.write('{"seed": 0, "rule"')  # a kill tore the last line
            out.write("\n")
    lines = read_lines(file)
    assert [line["rule"] for line in lines] == ["none", "random", "confidence"]
    assert [line["train"] for line in lines[1:]] == [lines[0]["train"] + 20] * 2
    texts = summarise(lines)
    assert "ahead of random by" in texts[2]
