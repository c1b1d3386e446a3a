"""Off-policy evaluation: what a policy would have earned in the decisions that another one drew and was rewarded for.

Each decision is taken for itself, as in a contextual bandit: the states are those that the drawing policy met. Three
estimates: inverse propensity scoring (IPS; Horvitz and Thompson 1952), the same normalised by the weights' sum (SNIPS;
Swaminathan and Joachims 2015), and doubly robust (DR; Dudík et al. 2011), whose model of the rewards is learned on
other episodes. Intervals take an episode as one observation, and add the squared sums of the residuals by episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aegis.errors import NotEnoughDataError
from aegis.promotion.judging.by_episode import mean_by_episode
from aegis.promotion.judging.interval import Interval
from aegis.rendering import counted, render_state
from aegis.types import ActionList, Decision, Policy

LEAST_EPISODES = 10
LEAST_EFFECTIVE = 50.0
"""The fewest decisions that the weighted ones must be worth"""
LEAST_PROPENSITY = 0.01
MOST_UNSUPPORTED = 0.05
"""Largest share of decisions in which the drawing policy hardly ever takes the action that is judged"""
_FOLDS = 5
_LEAST_LEARNED = 10
"""An action with fewer rewards counts with the mean of all"""

Floats = NDArray[np.float64]


class Rewarded(NamedTuple):
    """A drawn decision and its reward."""

    decision: Decision
    reward: float


class Estimate(NamedTuple):
    """A mean reward of one decision, with its 95% interval by episode."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class OffPolicyReport:
    """What a policy would have earned."""

    policy: str
    decisions: int
    episodes: int
    logged: Estimate
    """What the policy that drew earned"""
    ips: Estimate
    snips: Estimate
    dr: Estimate
    gain: Estimate
    """The doubly robust estimate less what was earned"""
    effective: float
    """How many decisions the weighted ones are worth: (sum of w)² / sum of w²"""
    largest: float
    """The largest weight's share of all"""
    mean_weight: Estimate
    """1 where the recorded propensities hold and no reward is missing because of what it was"""
    unsupported: float
    """Share of the decisions in which the action judged was drawn with a probability below 1%"""


def evaluate_off_policy(logged: Sequence[Rewarded], policy: Policy, actions: ActionList) -> OffPolicyReport:
    """Return what a policy would have earned by its most probable action in each of these decisions.

    actions: those that the policy knows; a decision among others is left out. Raises `NotEnoughDataError` where there
    are too few decisions or episodes, or where the actions drawn and those judged overlap too little to tell.
    """
    logged = [one for one in logged if all(name in actions for name in one.decision.actions)]
    episodes = len({one.decision.episode for one in logged})
    if len(logged) < LEAST_EFFECTIVE or episodes < LEAST_EPISODES:
        raise NotEnoughDataError(
            f"{counted(len(logged), 'drawn decision')} with a reward in {counted(episodes, 'episode')}: an estimate"
            f" needs {LEAST_EFFECTIVE:.0f} in {LEAST_EPISODES} episodes: let the HRM explore"
            " (`aegis.DeciderConfig(explore=0.05)`, or phase 4), and report rewards"
        )
    chosen = _choose(policy, [one.decision for one in logged], actions)
    return estimate(logged, chosen, policy.name)


def estimate(logged: Sequence[Rewarded], chosen: Sequence[str], name: str) -> OffPolicyReport:
    """Return what the chosen action of each decision would have earned; raises as `evaluate_off_policy` does."""
    episodes = _numbered([one.decision.episode for one in logged])
    rewards = np.array([one.reward for one in logged])
    propensities = np.array([one.decision.propensity for one in logged], dtype=float)
    same = np.array([one.decision.action.name == action for one, action in zip(logged, chosen, strict=True)])
    weights = same / propensities
    likely = np.array([_probability(one.decision, action) for one, action in zip(logged, chosen, strict=True)])
    unsupported = float((likely < LEAST_PROPENSITY).mean())
    effective = float(weights.sum() ** 2 / max(1e-12, (weights**2).sum()))
    if effective < LEAST_EFFECTIVE or unsupported > MOST_UNSUPPORTED:
        raise NotEnoughDataError(
            f"these {len(logged):,} decisions tell too little of {name}: they are worth {effective:.0f} of its own (at"
            f" least {LEAST_EFFECTIVE:.0f}), and in {unsupported:.1%} (at most {MOST_UNSUPPORTED:.0%}) its action was"
            " hardly ever drawn: explore more, or wait for more decisions"
        )
    expected, expected_taken = _expected_rewards(logged, chosen, episodes)
    robust = expected + weights * (rewards - expected_taken)
    share = weights / weights.mean()
    snips = float((share * rewards).mean())
    return OffPolicyReport(
        policy=name,
        decisions=len(logged),
        episodes=int(episodes.max()) + 1,
        logged=_mean(rewards, episodes),
        ips=_mean(weights * rewards, episodes),
        snips=Estimate(snips, mean_by_episode(snips, share * (rewards - snips), episodes)),
        dr=_mean(robust, episodes),
        gain=_mean(robust - rewards, episodes),
        effective=effective,
        largest=float(weights.max() / weights.sum()),
        mean_weight=_mean(weights, episodes),
        unsupported=unsupported,
    )


def _choose(policy: Policy, decisions: Sequence[Decision], actions: ActionList) -> list[str]:
    """Return a policy's most probable action in each decision, among those that were on offer."""
    chosen = [""] * len(decisions)
    offers: dict[tuple[str, ...], list[int]] = {}
    for row, decision in enumerate(decisions):
        offers.setdefault(decision.actions, []).append(row)
    for names, rows in offers.items():
        offered = actions.only(names)
        for row, choice in zip(rows, policy.decide([decisions[row].state for row in rows], offered), strict=True):
            chosen[row] = offered.names[int(np.argmax(choice.probabilities))]
    return chosen


def _expected_rewards(logged: Sequence[Rewarded], chosen: Sequence[str], episodes: NDArray[np.int64]) -> list[Floats]:
    """Return the reward that a model expects of the chosen and of the taken action, learned on other episodes.

    The model: for each action, ridge regression on TF-IDF of the states' words and pairs of words.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold

    texts = np.array([render_state(one.decision.state) for one in logged], dtype=object)
    rewards = np.array([one.reward for one in logged])
    taken = np.array([one.decision.action.name for one in logged])
    wanted = [np.array(chosen), taken]
    found = [np.empty(len(logged)), np.empty(len(logged))]
    for learned, asked in GroupKFold(min(_FOLDS, int(episodes.max()) + 1)).split(texts, groups=episodes):
        words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", min_df=2, max_features=20_000)
        try:
            known, new = words.fit_transform(texts[learned]), words.transform(texts[asked])
        except ValueError:  # no word occurs twice
            known = new = None
        for rows in found:
            rows[asked] = rewards[learned].mean()
        for action in np.unique(taken[learned]):
            of_action = taken[learned] == action
            if known is None or of_action.sum() < _LEAST_LEARNED:
                continue
            expected = Ridge().fit(known[of_action], rewards[learned][of_action]).predict(new)
            for rows, names in zip(found, wanted, strict=True):
                here = names[asked] == action
                rows[asked[here]] = expected[here]
    return found


def _probability(decision: Decision, action: str) -> float:
    assert decision.probabilities is not None  # `read_drawn` leaves out others
    return decision.probabilities[decision.actions.index(action)]


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each name, from 0, the same for the same name."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def _mean(values: Floats, episodes: NDArray[np.int64]) -> Estimate:
    mean = float(values.mean())
    return Estimate(mean, mean_by_episode(mean, values - mean, episodes))
