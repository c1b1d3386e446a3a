"""Simulated worlds with the settings that a workspace's agent runs by, for phase 4."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

from aegis.config import PHASE_1_DECISIONS, AgentConfig
from aegis.research.search import SearchChain
from aegis.research.setting import SettingBook
from aegis.research.world import KINDS, Worlds
from aegis.store import DecisionStore


def make_worlds(
    store: DecisionStore,
    search: SearchChain,
    config: AgentConfig | None = None,
    lived: int = PHASE_1_DECISIONS,
    on_lived: Callable[[int], None] = lambda made: None,
    people: bool = False,
) -> Worlds:
    """Return worlds to improve a workspace's HRM in; config: before the changes of approved proposals.

    lived, on_lived: as for `Worlds`. people: half of the worlds have a simulated person.
    """
    book = SettingBook(store.database)
    agent = book.agent_config(config or AgentConfig())
    agent = replace(agent, rewards=asdict(book.reward_table(agent)))
    worlds = Worlds(search, search.topics(), agent, lived=lived, on_lived=on_lived)
    worlds.kinds = KINDS if people else worlds.kinds
    return worlds
