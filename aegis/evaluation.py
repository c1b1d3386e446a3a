"""Policies side by side in the same simulated worlds: mean reward with intervals, and its curves. It prints nothing.

Policies of models act as they do in an agent, by their most probable action; `random` draws. The worlds are those of
`aegis/Research-v0`: offline search, and nobody answers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from aegis.agent import RESEARCH_ACTIONS, most_probable
from aegis.errors import ConfigError
from aegis.types import ActionList, Policy, State

if TYPE_CHECKING:
    from aegis.agent.environment import ResearchEnv

RANDOM, RULE = "random", "rule"
EPISODES_PER_SEED = 100_000
"""Worlds that a seed has: episode k of seed s is the world s * 100,000 + k."""


class ActionPolicy:
    """Takes the same action whatever it sees."""

    parameters = 0

    def __init__(self, action: str) -> None:
        self.name = action

    def probabilities(self, states: Sequence[State], actions: ActionList) -> list[tuple[float, ...]]:
        """Return certainty for its action."""
        chosen = actions.index(self.name)
        return [tuple(float(place == chosen) for place in range(len(actions))) for _ in states]


class RandomPolicy:
    """Takes any action as likely as any other."""

    name, parameters = RANDOM, 0

    def probabilities(self, states: Sequence[State], actions: ActionList) -> list[tuple[float, ...]]:
        """Return the same probability for each action."""
        return [(1 / len(actions),) * len(actions) for _ in states]


class RulePolicy:
    """Does what is on offer: searches where there is something new to search, else proposes, else idles.

    What one would write by hand for a world in which nobody answers: the bar for what is learned.
    """

    name, parameters = RULE, 0
    _order = ("search", "propose")

    def probabilities(self, states: Sequence[State], actions: ActionList) -> list[tuple[float, ...]]:
        """Return certainty for the first of its actions that a state offers."""
        return [self._decide(state, actions) for state in states]

    def _decide(self, state: State, actions: ActionList) -> tuple[float, ...]:
        offered = [str(option).split(":")[0] for option in state.get("options", [])]
        words = next((word for word in self._order if word in offered), "idle")
        return tuple(float(spec.words == words) for spec in actions)


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """What one policy's episode brought."""

    policy: str
    seed: int
    episode: int
    rewards: tuple[float, ...]
    """Of its decisions in order, with what came late in each step"""
    actions: Mapping[str, int]

    @property
    def mean_reward(self) -> float:
        """Mean reward of one decision."""
        return sum(self.rewards) / len(self.rewards)


@dataclass(frozen=True, slots=True)
class Row:
    """What one policy earns."""

    policy: str
    reward: float
    """Mean reward of one decision"""
    interval: tuple[float, float]
    """95%, by Student's t over episodes; nan for a single one"""
    episodes: int
    decisions: int
    actions: Mapping[str, float]
    """Share of each action"""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A place on a learning curve."""

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
    on_episode: Callable[[EpisodeResult], None] = lambda result: None,
) -> Iterator[EpisodeResult]:
    """Yield each policy's episodes, all in the same worlds: so many episodes of each seed.

    Raises `ConfigError` for seeds or episodes that are none.
    """
    if not seeds or episodes < 1:
        raise ConfigError("an evaluation needs at least one seed and one episode")
    if episodes > EPISODES_PER_SEED:
        raise ConfigError(f"--episodes {episodes}: a seed has {EPISODES_PER_SEED} worlds; give more --seeds")
    for name, policy in policies.items():
        for seed in seeds:
            for episode in range(episodes):
                world = seed * EPISODES_PER_SEED + episode
                rewards, actions = play(policy, environment, world)
                result = EpisodeResult(name, seed, episode, tuple(rewards), dict(actions))
                on_episode(result)
                yield result


def play(policy: Policy, environment: ResearchEnv, world: int) -> tuple[list[float], Counter[str]]:
    """Let a policy decide through one episode in the world of this number; return rewards and actions."""
    _, info = environment.reset(seed=world)
    draw = random.Random(world)
    rewards: list[float] = []
    actions: Counter[str] = Counter()
    over = False
    while not over:
        probabilities = policy.probabilities([info["state"]], RESEARCH_ACTIONS)[0]
        if policy.name == RANDOM:
            chosen = draw.choices(range(len(probabilities)), probabilities)[0]
        else:
            chosen = most_probable(probabilities)
        _, reward, terminated, truncated, info = environment.decide(chosen, probabilities, policy.name)
        rewards.append(reward)
        actions[info["action"]] += 1
        over = terminated or truncated
    return rewards, actions


def summarise(results: Sequence[EpisodeResult]) -> list[Row]:
    """Return each policy's mean reward with its interval, the best first; episodes are the units."""
    rows = []
    for policy in dict.fromkeys(result.policy for result in results):
        own = [result for result in results if result.policy == policy]
        counts: Counter[str] = Counter()
        for result in own:
            counts.update(result.actions)
        shares = {name: counts[name] / counts.total() for name in RESEARCH_ACTIONS.names}
        mean, interval = mean_with_interval([result.mean_reward for result in own])
        rows.append(Row(policy, mean, interval, len(own), counts.total(), shares))
    return sorted(rows, key=lambda row: -row.reward)


def within_episode(results: Sequence[EpisodeResult]) -> list[CurvePoint]:
    """Return each policy's mean reward of one decision by how many decisions of the episode are made."""
    points = []
    for policy in dict.fromkeys(result.policy for result in results):
        rewards = np.array([result.rewards for result in results if result.policy == policy])
        means = rewards.cumsum(axis=1) / np.arange(1, rewards.shape[1] + 1)
        for made in range(1, rewards.shape[1] + 1):
            mean, interval = mean_with_interval(means[:, made - 1])
            points.append(CurvePoint(policy, made, mean, interval))
    return points


def mean_with_interval(values: Sequence[float] | np.ndarray) -> tuple[float, tuple[float, float]]:
    """Return the mean and its 95% interval by Student's t; nan where there is a single value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, (float("nan"), float("nan"))
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return mean, (mean - half, mean + half)
