"""What phase 4 is compared with: rules, REINFORCE on a linear policy, and PPO, both of which begin with imitation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from stable_baselines3 import PPO

from aegis.research import RESEARCH_ACTIONS, choose_offered
from aegis.research.environment import ResearchEnv
from aegis.research.features import FIXED_FEATURES, features
from aegis.research.world import Worlds
from aegis.types import ActionList, Choice, Decision, State

WORLD_DECISIONS = 250
"""In one world of learning; then a fresh one begins, of the other kind: as in phase 4"""
DISCOUNT = 0.5
"""As in phase 4"""
_IMITATED_EPOCHS = 30


class AskingRule:
    """The rule "search what is new, else ask somebody who is here, else propose, else idle"."""

    name, parameters = "rule that asks", 0

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the first of its actions that a state offers, with certainty."""
        return [Choice.certain(self._choose(state), actions, self.name) for state in states]

    def _choose(self, state: State) -> str:
        action = choose_offered(state)
        asks = any(str(option).startswith("ask:") for option in state["options"]) and state["human"] == "here"
        return "ask_human" if asks and action != "web_search" else action


class LinearPolicy:
    """Softmax of a linear function of the state's fields: counts, flags and the last three actions, without words."""

    name, parameters = "linear", (FIXED_FEATURES + 1) * len(RESEARCH_ACTIONS)

    def __init__(self, weights: NDArray[np.float64]) -> None:
        self.weights = torch.tensor(weights, requires_grad=True)
        """(fields + 1, actions); the last row is added to every state"""

    @classmethod
    def imitate(cls, decisions: Sequence[Decision]) -> LinearPolicy:
        """Return a policy that imitates a teacher, by logistic regression."""
        labels = [RESEARCH_ACTIONS.index(one.action.name) for one in decisions]
        model = LogisticRegression(max_iter=1000).fit(fields_of([one.state for one in decisions])[:, :-1], labels)
        weights = np.full((FIXED_FEATURES + 1, len(RESEARCH_ACTIONS)), 0.0)
        weights[-1] = -5.0  # an action that the teacher never took
        fitted = np.hstack([model.coef_, model.intercept_[:, None]])
        if len(fitted) == 1:  # of two actions, the second relative to the first
            fitted = np.vstack([0 * fitted, fitted])
        weights[:, model.classes_] = fitted.T
        return cls(weights)

    def log_policy(self, states: Sequence[State]) -> torch.Tensor:
        """Return log-probabilities (B, A)."""
        return (torch.tensor(fields_of(states)) @ self.weights).log_softmax(-1)

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the most probable actions."""
        rows = self.log_policy(states).detach().exp().tolist()
        return [Choice.best(row, actions, self.name) for row in rows]


def fields_of(states: Sequence[State]) -> NDArray[np.float64]:
    """Return the states' fields and a 1, (B, fields + 1)."""
    rows = np.array([features(state)[:FIXED_FEATURES] for state in states], np.float64)
    return np.hstack([rows, np.ones((len(rows), 1))])


def learn_linear(policy: LinearPolicy, worlds: Worlds, decisions: int, seed: int, rate: float = 0.03) -> None:
    """Let a linear policy learn by REINFORCE with a linear baseline: an Adam step after each episode."""
    values = torch.zeros((FIXED_FEATURES + 1, 1), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([{"params": [policy.weights], "lr": rate}, {"params": [values], "lr": 3 * rate}])
    generator = torch.Generator().manual_seed(seed)
    for number in range(-(-decisions // WORLD_DECISIONS)):
        kind = number % len(worlds.kinds)
        with worlds.begin(seed + number, seed + number - kind, worlds.kinds[kind]) as world:
            for _ in range(0, min(WORLD_DECISIONS, decisions - number * WORLD_DECISIONS), worlds.episode_length):
                states, taken, ids = [], [], []
                earned: dict[str, float | None] = {}
                for _ in range(worlds.episode_length):
                    situation = world.observe()
                    row = policy.log_policy([situation.state]).detach().exp()
                    taken.append(int(torch.multinomial(row, 1, generator=generator)))
                    step = world.act_as(situation, RESEARCH_ACTIONS.names[taken[-1]])
                    states.append(situation.state)
                    ids.append(step.decision.id)
                    earned |= {one.decision_id: one.reward for one in (step.outcome, *step.late)}
                earned |= {one.decision_id: one.reward for one in world.wait_out()}
                world.begin_episode()
                returns, later = [], 0.0
                for decision in reversed(ids):
                    later = (earned[decision] or 0.0) + DISCOUNT * later
                    returns.append(later)
                _step(policy, values, optimizer, states, taken, returns[::-1])


def _step(
    policy: LinearPolicy,
    values: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    states: Sequence[State],
    taken: Sequence[int],
    returns: Sequence[float],
) -> None:
    value = (torch.tensor(fields_of(states)) @ values).squeeze(-1)
    advantages = torch.tensor(returns, dtype=torch.float64) - value
    chosen = policy.log_policy(states)[torch.arange(len(taken)), torch.tensor(taken)]
    loss = -(chosen * advantages.detach()).mean() + 0.5 * advantages.square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class OneWorldAfterAnother(gymnasium.Wrapper):
    """Begins a fresh world after `WORLD_DECISIONS` decisions, with a person in every second one."""

    def __init__(self, environment: ResearchEnv, seed: int) -> None:
        super().__init__(environment)
        self._episode_length = environment.config.episode_length
        self._seed = seed
        self._left = self._begun = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode."""
        self._left -= self._episode_length
        if self._left >= 0:
            return self.env.reset()
        self._left = WORLD_DECISIONS
        self._begun += 1
        return self.env.reset(seed=self._seed + self._begun, options={"people": self._begun % 2 == 0})


class PPOPolicy:
    """Stable-Baselines3's PPO as a policy: its most probable action."""

    name, parameters = "PPO", 0

    def __init__(self, model: PPO) -> None:
        self.model = model

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the most probable actions."""
        found, _ = self.model.predict(np.array([features(state) for state in states]), deterministic=True)
        return [Choice.certain(RESEARCH_ACTIONS.names[int(one)], actions, self.name) for one in found]


def make_ppo(environment: ResearchEnv, decisions: Sequence[Decision], seed: int, **options: Any) -> PPO:
    """Return PPO whose policy imitates a teacher.

    options: of `PPO`, in place of the benchmark's, which are PPO's defaults but for rollouts of 10 episodes, so that it
    learns from few decisions at all, and phase 4's discount.
    """
    settings = {"n_steps": 200, "batch_size": 50, "gamma": DISCOUNT} | options
    model = PPO("MlpPolicy", OneWorldAfterAnother(environment, seed), device="cpu", seed=None, **settings)
    model.set_random_seed(seed % 2**31)
    inputs = torch.tensor(np.array([features(one.state) for one in decisions]))
    labels = torch.tensor([RESEARCH_ACTIONS.index(one.action.name) for one in decisions])
    optimizer = torch.optim.Adam(model.policy.parameters(), lr=1e-3)
    for _ in range(_IMITATED_EPOCHS):
        for rows in torch.randperm(len(labels)).split(64):
            loss = -model.policy.get_distribution(inputs[rows]).log_prob(labels[rows]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model
