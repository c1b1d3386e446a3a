"""A workspace in which a tiny HRM serves, with its export: made here with torch, used elsewhere without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from aegis.config import HRMConfig
from aegis.hrm import HRM, HRMPolicy, StateCodec, export_onnx
from aegis.hrm.backend import EXPORT_FOLDER
from aegis.promotion import ModelRegistry, keep_answers, write_answers
from aegis.promotion.monitoring.drift import fit_drift, write_drift
from aegis.research import RESEARCH_ACTIONS, ApprovalQueue, Inbox
from aegis.research.proposals import Proposal
from aegis.store import Database, DecisionStore
from aegis.types import Action, Decision, utc_now
from aegis.workspace import Workspace

TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)
STATES = [{"human": "here" if number % 2 else "away", "questions": [f"What is {number}?"]} for number in range(40)]


class Served(NamedTuple):
    """What a machine without torch gets."""

    workspace: Workspace
    export: Path
    states: list[dict[str, object]]
    answers: list[tuple[float, ...]]
    """The HRM's probabilities of the states, by the eager model"""


@pytest.fixture(scope="session")
def served(tmp_path_factory, search_index) -> Served:
    """Make the workspace: its HRM has answers, a drift detector and an export; a question and a proposal wait."""
    folder = Workspace(tmp_path_factory.mktemp("served") / "w")
    torch.manual_seed(0)
    policy = HRMPolicy(HRM(TINY), StateCodec(), RESEARCH_ACTIONS)
    eager = [choice.probabilities for choice in policy.decide(STATES, RESEARCH_ACTIONS)]
    labels = [int(np.argmax(row)) for row in eager]

    def save(name, place):
        policy.save_as(name, place)
        write_answers(
            place, keep_answers(eager, labels, [f"e{k // 4}" for k in range(40)], RESEARCH_ACTIONS.names, 1.0)
        )
        represented = policy.represent(STATES)
        write_drift(place, fit_drift(represented[:20], represented[20:]))
        export_onnx(
            HRMPolicy.load(place),
            place / EXPORT_FOLDER,
            [(state, RESEARCH_ACTIONS.names[label]) for state, label in zip(STATES, labels, strict=True)],
        )

    figures = {"decisions": 1100, "heldout": 40, "accuracy": 0.85, "interval": [0.7, 0.95], "calibration_error": 0.1}
    with Database(folder.database) as database:
        store = DecisionStore(database)
        store.claim_teacher("scripted", 0, "a rule, no model")
        registry = ModelRegistry(store, folder)
        serving = registry.promote(save, figures)
        now = utc_now()
        for step in range(3):
            idle = Action("idle")
            store.append(
                Decision("e", step, {}, ("idle", "web_search"), idle, None, "scripted", id=f"d{step}", decided_at=now)
            )
        Inbox(database).ask("d0", "What is WAL?", now, 3600)
        for number, aspect in ((1, "hits_per_search"), (2, "questions_per_item")):
            ApprovalQueue(database).propose(f"d{number}", Proposal(aspect, 2, 4, "why", 0.6), now, 3600)
    return Served(folder, serving.folder / EXPORT_FOLDER, [dict(state) for state in STATES], eager)


@pytest.fixture(scope="session")
def wheel(made_once) -> Path:
    """Build the wheel from this checkout; hatchling is one of the dev packages."""

    def build(folder: Path) -> None:
        wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps"]
        subprocess.run([*wheel, "-w", str(folder), str(Path(__file__).parents[2])], check=True)

    (built,) = made_once("wheel", build).glob("*.whl")
    return built
