"""Off-policy evaluation on decisions whose true worth is known, and against Vowpal Wabbit's estimators."""

from __future__ import annotations

import random

import numpy as np
import pytest
from estimators.bandits import ips, snips

from aegis.errors import NotEnoughDataError
from aegis.experiments.off_policy import Rewarded, estimate, evaluate_off_policy
from aegis.types import Action, ActionList, ActionSpec, Choice, Decision

NAMES = ("refund", "answer", "wait")
ACTIONS = ActionList(tuple(ActionSpec(name, name, name) for name in NAMES))
WORTH = {"broken": (1.0, 0.2, 0.0), "late": (0.1, 0.6, 0.4)}


def best(state):
    return NAMES[int(np.argmax(WORTH[str(state["ticket"])]))]


class Best:
    name, parameters = "hrm@2", 0

    def decide(self, states, actions):
        return [Choice.certain(best(state), actions, self.name, "hrm") for state in states]


def draw(seed, episodes=60, length=5, spread=0.3, likely=(0.5, 0.3, 0.2)):
    """Return decisions drawn by these probabilities; an episode has an effect on all of its rewards."""
    rng = random.Random(seed)
    found = []
    for episode in range(episodes):
        effect = rng.gauss(0, spread)
        for step in range(length):
            state = {"ticket": rng.choice(list(WORTH)), "step": step}
            place = rng.choices(range(3), likely)[0]
            reward = WORTH[str(state["ticket"])][place] + effect + rng.gauss(0, 0.2)
            action = Action(NAMES[place])
            found.append(
                Rewarded(
                    Decision(f"e{episode}", step, state, NAMES, action, likely, "hrm@1", propensity=likely[place]),
                    reward,
                )
            )
    return found


def test_estimates_equal_those_of_vowpal_wabbit():
    logged = draw(1)
    report = evaluate_off_policy(logged, Best(), ACTIONS)
    plain, normalised = ips.Estimator(), snips.Estimator()
    for decision, reward in logged:
        chosen = float(decision.action.name == best(decision.state))
        plain.add_example(decision.propensity, reward, chosen)
        normalised.add_example(decision.propensity, reward, chosen)
    assert report.ips.value == pytest.approx(plain.get())
    assert report.snips.value == pytest.approx(normalised.get())
    assert report.decisions == 300
    assert report.episodes == 60
    assert report.unsupported == 0.0


def test_intervals_hold_the_true_worth_about_as_often_as_they_say():
    truth = (1.0 + 0.6) / 2
    drawn = sum(0.5 * a + 0.3 * b + 0.2 * c for a, b, c in WORTH.values()) / 2
    held = {"ips": 0, "snips": 0, "dr": 0, "gain": 0}
    for seed in range(25):
        report = evaluate_off_policy(draw(seed), Best(), ACTIONS)
        for name in held:
            low, high = getattr(report, name).interval
            held[name] += low <= truth - (drawn if name == "gain" else 0) <= high
        assert report.mean_weight.interval[0] - 0.2 < 1 < report.mean_weight.interval[1] + 0.2
    assert min(held.values()) >= 21, held  # 24 are expected


def test_the_doubly_robust_estimate_is_sharper_than_plain_weights():
    logged = draw(3, spread=0.0)
    report = evaluate_off_policy(logged, Best(), ACTIONS)
    assert np.diff(report.dr.interval) < 0.7 * np.diff(report.ips.interval)


def test_too_few_decisions_and_too_little_overlap_are_refused():
    with pytest.raises(NotEnoughDataError, match=r"40 drawn decisions with a reward in 8 episodes: .*explore=0.05"):
        evaluate_off_policy(draw(1, episodes=8), Best(), ACTIONS)
    rare = draw(1, episodes=200, likely=(0.001, 0.001, 0.998))
    with pytest.raises(NotEnoughDataError, match=r"tell too little of hrm@2: .* in 100.0% .* its action was hardly"):
        evaluate_off_policy(rare, Best(), ACTIONS)
    logged = draw(1)
    with pytest.raises(NotEnoughDataError, match="are worth 1 of its own"):
        estimate(
            logged,
            [next(n for n in NAMES if n != one.decision.action.name) for one in logged[:-1]]
            + [logged[-1].decision.action.name],
            "odd",
        )
