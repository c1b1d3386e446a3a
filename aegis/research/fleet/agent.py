"""A research agent in an actor of Ray. It decides with a scratch record of its own, and hands over what it did.

What it hands over counts as its own until the writer asks for the next decisions. Nobody looks into its inbox.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from aegis.cache import cache_folder
from aegis.cluster.connection import own_node
from aegis.config import AgentConfig
from aegis.errors import BudgetError, StoreError
from aegis.rendering import clean_text
from aegis.research.rewards import RewardTable
from aegis.research.run.collection import make_agent
from aegis.research.search import create_search
from aegis.store import Database, DecisionStore, Example
from aegis.types import Outcome, Teacher, utc_now

FAILURES_IN_A_ROW = 3
"""Failures after which an agent hands over what it has, so that its writer hears of them"""
_SEARCH_CACHE = "fleet-search.db"
_REASON_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class AgentOrder:
    """What an agent in an actor is made of."""

    teacher: Teacher
    """Asked in the actor: one of a cluster, as a rule"""
    config: AgentConfig
    rewards: RewardTable
    search: str
    """The providers' names"""
    search_order: str | None
    """As approved; None for the order of the names"""
    vary_presence: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A state that got no decision, and why."""

    episode: str
    state: dict[str, Any]
    error: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Handover:
    """What an agent did since it was last asked."""

    examples: list[Example] = field(default_factory=list)
    late: list[Outcome] = field(default_factory=list)
    """Outcomes of decisions that were handed over earlier"""
    failures: list[Failure] = field(default_factory=list)
    ended: str = ""
    """Why no state will get a decision any more"""


class AgentActor:
    """Makes decisions when asked."""

    def __init__(self, order: AgentOrder) -> None:
        self._database = Database.scratch()  # nobody reads it after this process
        # One cache for all agents of a machine, which so keep to the online providers' rates together.
        self._search = create_search(order.search, cache=cache_folder() / _SEARCH_CACHE)
        if order.search_order is not None:
            self._search.arrange(order.search_order)
        self._agent = make_agent(
            DecisionStore(self._database),
            order.teacher,
            self._search,
            order.seed,
            order.config,
            order.vary_presence,
            order.rewards,
        )

    def collect(self, count: int) -> Handover:
        """Make at most so many decisions, and hand them over; a state that gets none is a failure."""
        done, in_a_row = Handover(), 0
        while len(done.examples) < count and in_a_row < FAILURES_IN_A_ROW:
            situation = self._agent.observe()
            done.late.extend(situation.late)
            try:
                (choice,) = self._agent.policy.decide([situation.state], self._agent.actions)
                step = self._agent.act(situation, choice)
            except BudgetError as error:
                return replace(done, ended=str(error))
            except StoreError:
                raise  # the scratch disk is full or gone: another actor may do better
            except Exception as error:
                reason = clean_text(f"{error}" or type(error).__name__, _REASON_CHARACTERS)
                done.failures.append(Failure(self._agent.episode, dict(situation.state), reason, utc_now()))
                in_a_row += 1
                self._agent.start_episode()  # away from the state that nobody can decide
            else:
                done.examples.append(Example(step.decision, step.outcome))
                in_a_row = 0
        return done

    def close(self) -> None:
        """Remove the scratch record."""
        self._search.close()
        self._database.close()

    def process(self) -> tuple[str, int]:
        """Return the node and the process that the agent runs in."""
        return own_node(), os.getpid()


def seed_of(seed: int, agent: int, replaced: int) -> int:
    """Return the seed of an agent's goals: one that replaces another draws other goals."""
    return random.Random(f"{seed} {agent} {replaced}").randrange(2**32)
