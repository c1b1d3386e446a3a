"""A workspace with an agent's decisions and a decision point, as the dashboard finds them."""

from __future__ import annotations

import pytest

from aegis.lifecycle import open_store
from aegis.types import Action, Decision, Outcome
from aegis.workspace import Workspace

NAMES = ("web_search", "ask_human", "idle")


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace in which the agent's teacher made ten decisions."""
    place = Workspace(tmp_path / "work")
    with open_store(place) as store:
        store.claim_teacher("gpt2", 124_000_000, "a test")
        for number in range(10):
            add_decision(store, number)
    return place


def add_decision(store, number, action="web_search", policy="gpt2", state=None, reward=1.0, shares=(0.7, 0.2, 0.1)):
    """Append one decision with its outcome; return its id."""
    decision = Decision(
        "episode",
        number,
        state or {"goal": f"goal {number}"},
        NAMES,
        Action(action, {"query": f"what is {number}?"} if action == "web_search" else {}),
        shares,
        policy,
        f"decision-{number}",
    )
    store.append(decision)
    store.record_outcome(
        Outcome(decision.id, "ok", gained=1, reward=reward, detail="found", components={"new": reward})
    )
    return decision.id


@pytest.fixture
def point(workspace):
    """Return the workspace of a decision point beside the agent, in which a function made one decision."""
    import aegis

    with aegis.Decider(
        "router", ("refund", "answer"), lambda state, actions: "refund", workspace=workspace.folder
    ) as it:
        it.decide({"ticket": "broken"})
    return workspace.point("router")
