"""Make the agent of a workspace, run it, and note how its decisions were collected. No model is loaded."""

from __future__ import annotations

import platform
import random
from collections.abc import Callable
from typing import Any

from aegis import __version__
from aegis.config import AgentConfig
from aegis.lifecycle.point import claim_actions
from aegis.research import (
    RESEARCH_ACTIONS,
    Agent,
    AgentHooks,
    DrawnPresence,
    RewardTable,
    SettingBook,
    Step,
)
from aegis.research.search import SearchChain
from aegis.store import DecisionStore, StateKey
from aegis.types import Policy, new_id, utc_now


def make_agent(
    store: DecisionStore,
    policy: Policy,
    search: SearchChain,
    seed: int | None = None,
    config: AgentConfig | None = None,
    vary_presence: bool = False,
    rewards: RewardTable | None = None,
) -> Agent:
    """Return an agent in a workspace, with the settings that were changed there.

    Raises `ConfigError` where the workspace holds decisions among other actions.

    search is put in the order that was approved for its providers, and stays open. vary_presence: in half of the
    decisions, tell the policy that a person is here, though nobody answers; otherwise a person counts as here while
    they use the inbox.
    """
    claim_actions(store, RESEARCH_ACTIONS)
    rng = random.Random(seed)
    presence = (lambda inbox: DrawnPresence(rng)) if vary_presence else None
    book = SettingBook(store.database)
    order = book.search_order()
    if order is not None:
        search.arrange(order)
    config = book.agent_config(config or AgentConfig())
    table = rewards or book.reward_table(config)
    return Agent(store, policy, search, search.topics(), rng, config, table, AgentHooks(presence))


def run_agent(agent: Agent, decisions: int, after: Callable[[Step], Policy | None] = lambda step: None) -> None:
    """Let the agent make a number of decisions.

    after: hears each step once it was carried out, and returns the policy that decides next, or None for the same.
    """
    for _ in range(decisions):
        agent.policy = after(agent.step()) or agent.policy


def note_collection(
    store: DecisionStore, policy: Policy, search: str, seed: int, vary_presence: bool, config: AgentConfig
) -> None:
    """Keep the settings of a run of collecting, for the data card."""
    times = ("answer_timeout_seconds", "approval_timeout_seconds", "action_timeout_seconds")
    settings: dict[str, Any] = {"teacher": policy.name, "search": search, "seed": seed, "vary_presence": vary_presence}
    settings |= {name: getattr(config, name) for name in times}
    if config.rewards:
        settings["rewards"] = dict(config.rewards)
    document = settings | {"aegis": __version__, "python": platform.python_version(), "at": utc_now().isoformat()}
    store.state.keep(StateKey.COLLECTION, document, new_id())
