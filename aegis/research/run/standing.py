"""Where the workspace of a research agent stands, with what waits for a person and what its searches brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from aegis.lifecycle.opening import existing, open_store
from aegis.lifecycle.standing import Standing, standing_of
from aegis.lifecycle.training.rare import collect_more
from aegis.research.actions import ASK_HUMAN, PROPOSE_IMPROVEMENT
from aegis.research.run.waiting import Waiting, read_waiting
from aegis.store import count_recent_searches
from aegis.types import utc_now
from aegis.workspace import Workspace


@dataclass(frozen=True, slots=True)
class AgentStanding(Standing):
    """Where the workspace of a research agent stands."""

    waiting: tuple[Waiting, ...] = ()
    """Questions and proposals that wait for a person"""
    searches: int = 0
    """Among the newest 100 decisions"""
    vain_searches: int = 0
    """Of these, searches that found nothing new"""

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        return Standing.to_record(self) | {"waiting": [one.to_record() for one in self.waiting]}


def advise(rare: Mapping[str, int]) -> str:
    """Return what helps with rare actions of the agent."""
    if rare.keys() & {ASK_HUMAN.name, PROPOSE_IMPROVEMENT.name}:
        looks = "look into `aegis inbox` while it collects (it then knows that you are here)"
        return f"{looks}, or collect with --vary-presence"
    return collect_more(rare)


def read_agent_standing(workspace: Workspace) -> AgentStanding:
    """Read where a workspace stands; raises `StoreError` where there is none."""
    with open_store(existing(workspace)) as store:
        standing, recent = standing_of(store, workspace), count_recent_searches(store.database)
        return AgentStanding(
            **{one.name: getattr(standing, one.name) for one in fields(standing)},
            waiting=tuple(read_waiting(store.database, utc_now())),
            searches=recent.searches,
            vain_searches=recent.vain,
        )
