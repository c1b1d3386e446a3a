"""Open a workspace, make and run its agent, and describe how its decisions were collected. No model is loaded."""

from __future__ import annotations

import platform
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from aegis import __version__
from aegis.config import AgentConfig
from aegis.errors import StoreError
from aegis.lifecycle.point import read_actions
from aegis.promotion import ModelRegistry, Serving
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
from aegis.store import Database, DecisionStore, StateKey
from aegis.types import Policy, new_id, utc_now
from aegis.workspace import Workspace


@contextmanager
def open_store(workspace: Workspace) -> Iterator[DecisionStore]:
    """Open a workspace's store while the block runs."""
    with Database(workspace.database) as database:
        yield DecisionStore(database)


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

    search is put in the order that was approved for its providers, and stays open. vary_presence: in half of the
    decisions, tell the policy that a person is here, though nobody answers; otherwise a person counts as here while
    they use the inbox.
    """
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


def existing(workspace: Workspace) -> Workspace:
    """Return the workspace if it has a database; raises `StoreError` where there is none, or an empty file."""
    if workspace.folder.is_file():
        raise StoreError(f"--workspace {workspace.folder}: not a folder: name a workspace's folder")
    if not workspace.database.exists():
        if points := workspace.points():
            raise StoreError(
                f"{workspace.folder}: no agent here, only decision points: name one with --point ({', '.join(points)})"
            )
        raise StoreError(
            f"{workspace.folder}: no workspace here: check the name, or make one: `aegis train --workspace"
            f" {workspace.folder}` (on the shipped decisions) or `aegis collect --workspace {workspace.folder}`"
        )
    if not workspace.database.stat().st_size:
        raise StoreError(f"{workspace.database}: is empty: put a copy back in its place, or delete it to begin anew")
    return workspace


def find_serving(store: DecisionStore, workspace: Workspace) -> Serving | None:
    """Return the trained policy that serves in a workspace, or None while its teacher does."""
    return ModelRegistry(store, workspace).serving()


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


def describe_collection(store: DecisionStore) -> dict[str, Any]:
    """Return what an export says of its decisions: teacher, prompt, runs, episodes and action shares."""
    from aegis.teachers.prompt import QUESTION, render_instructions

    teacher, actions = store.teacher(), read_actions(store)
    runs = sorted(store.state.records(StateKey.COLLECTION), key=lambda run: str(run["at"]))
    counts = store.action_counts(teacher.name if teacher else None)
    return {
        "teacher": asdict(teacher) if teacher else None,
        "actions": [asdict(spec) for spec in actions],
        "prompt": render_instructions(actions) + "{state}" + QUESTION if actions is RESEARCH_ACTIONS else None,
        "runs": runs,
        "action_counts": counts,
    }
