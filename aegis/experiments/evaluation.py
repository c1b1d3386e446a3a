"""Policies side by side in the same simulated worlds: mean reward with intervals, and its curves.

Policies of models act as they do in an agent, by their most probable action; `random` draws. The worlds are those of
`aegis/Research-v0`: offline search, and nobody answers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from aegis.errors import ConfigError
from aegis.promotion.judging.interval import mean_interval
from aegis.research import RESEARCH_ACTIONS, choose_offered
from aegis.types import ActionList, Choice, Policy, State

if TYPE_CHECKING:
    from aegis.research.environment import ResearchEnv

RANDOM, RULE = "random", "rule"


class ActionPolicy:
    """Always takes the same action; the first where that one is not on offer."""

    parameters = 0

    def __init__(self, action: str) -> None:
        self.name = action

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return its action, with certainty."""
        return [_certain(self.name, actions, self.name) for _ in states]


class RandomPolicy:
    """Draws every action with the same probability."""

    name, parameters = RANDOM, 0

    def __init__(self, rng: random.Random | None = None) -> None:
        self.rng = rng or random.Random()

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return an action drawn for each state."""
        even = (1 / len(actions),) * len(actions)
        return [Choice.draw(even, actions, self.name, "other", self.rng) for _ in states]


class RulePolicy:
    """Searches where there is something new to search, else proposes, else idles.

    A policy written by hand for a world in which nobody answers: the bar for learned policies.
    """

    name, parameters = RULE, 0

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the first of its actions that a state offers, with certainty."""
        return [_certain(choose_offered(state), actions, self.name) for state in states]


def _certain(action: str, actions: ActionList, policy: str) -> Choice:
    return Choice.certain(action if action in actions else actions.names[0], actions, policy)


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """The rewards and actions of one policy in one episode."""

    policy: str
    seed: int
    episode: int
    rewards: tuple[float, ...]
    """One for each decision, late rewards included in the step in which they came"""
    actions: Mapping[str, int]

    @property
    def mean_reward(self) -> float:
        """Mean reward of one decision."""
        return sum(self.rewards) / len(self.rewards)


@dataclass(frozen=True, slots=True)
class Row:
    """One policy's mean reward."""

    policy: str
    reward: float
    """Mean reward of one decision"""
    interval: tuple[float, float] | None
    """95%, by Student's t over worlds; None for a single world"""
    worlds: int
    decisions: int
    actions: Mapping[str, float]
    """Share of each action"""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A point on a learning curve."""

    series: str
    decisions: int
    """Decisions learned from"""
    reward: float
    interval: tuple[float, float] | None = None


def fixed_policies() -> dict[str, Policy]:
    """Return the policies that need no model, by name."""
    found: dict[str, Policy] = {name: ActionPolicy(name) for name in RESEARCH_ACTIONS.names}
    return found | {RANDOM: RandomPolicy(), RULE: RulePolicy()}


def evaluate(
    policies: Mapping[str, Policy],
    environment: ResearchEnv,
    seeds: Sequence[int],
    episodes: int,
) -> Iterator[EpisodeResult]:
    """Yield each policy's episodes, all in the same worlds: one world for each seed, with this many episodes in a row.

    Raises `ConfigError` without seeds or episodes.
    """
    if not seeds or episodes < 1:
        raise ConfigError("an evaluation needs at least one seed and one episode")
    for seed in seeds:
        for name, policy in policies.items():
            if isinstance(policy, RandomPolicy):
                policy.rng = random.Random(seed)
            for episode in range(episodes):
                _, info = environment.reset(seed=None if episode else seed)
                rewards, actions = play(policy, environment, info["state"])
                yield EpisodeResult(name, seed, episode, tuple(rewards), dict(actions))


def play(policy: Policy, environment: ResearchEnv, state: State) -> tuple[list[float], Counter[str]]:
    """Let a policy decide through one episode, from its first state; return rewards and actions."""
    rewards: list[float] = []
    actions: Counter[str] = Counter()
    over = False
    while not over:
        (choice,) = policy.decide([state], RESEARCH_ACTIONS)
        _, reward, terminated, truncated, info = environment.decide(choice)
        state = info["state"]
        rewards.append(reward)
        actions[info["action"]] += 1
        over = terminated or truncated
    return rewards, actions


def summarise(results: Sequence[EpisodeResult]) -> list[Row]:
    """Return each policy's mean reward with its interval, the best first; worlds are the units."""
    rows = []
    for policy in dict.fromkeys(result.policy for result in results):
        own = [result for result in results if result.policy == policy]
        counts: Counter[str] = Counter()
        for result in own:
            counts.update(result.actions)
        shares = {name: counts[name] / counts.total() for name in RESEARCH_ACTIONS.names}
        means = _by_world(own).mean(axis=1).tolist()
        interval = mean_interval(means) if len(means) > 1 else None
        rows.append(Row(policy, fmean(means), interval, len({result.seed for result in own}), counts.total(), shares))
    return sorted(rows, key=lambda row: -row.reward)


def within_world(results: Sequence[EpisodeResult]) -> list[CurvePoint]:
    """Return each policy's mean reward of one decision after each episode, by decisions made in a world."""
    points = []
    for policy in dict.fromkeys(result.policy for result in results):
        rewards = _by_world([result for result in results if result.policy == policy])
        length = len(next(result.rewards for result in results if result.policy == policy))
        means = rewards.cumsum(axis=1) / np.arange(1, rewards.shape[1] + 1)
        for made in range(length, rewards.shape[1] + 1, length):
            here = means[:, made - 1].tolist()
            points.append(CurvePoint(policy, made, fmean(here), mean_interval(here) if len(here) > 1 else None))
    return points


def _by_world(results: Sequence[EpisodeResult]) -> np.ndarray:
    """Return one policy's rewards, (worlds, decisions)."""
    worlds: dict[int, list[float]] = {}
    for result in sorted(results, key=lambda one: (one.seed, one.episode)):
        worlds.setdefault(result.seed, []).extend(result.rewards)
    return np.array(list(worlds.values()))
