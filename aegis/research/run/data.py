"""The decisions that the research agent's HRM learns from: of a file, of its workspace, or those that AEGIS ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import aegis
from aegis.config import MIN_TRAINING_DECISIONS, TrainingConfig
from aegis.errors import NotEnoughDataError
from aegis.lifecycle.opening import open_store
from aegis.lifecycle.point import read_actions
from aegis.lifecycle.training.data import TrainingData, read_training_data, read_workspace_data, split_data
from aegis.research.actions import RESEARCH_ACTIONS
from aegis.types import Decision, Progress, unheard
from aegis.workspace import Workspace

SHIPPED_DATA_NAME = "decisions.jsonl.gz"


def shipped_data() -> Path:
    """Return the file of the decisions that AEGIS ships: in the checkout, or in the installed package."""
    package = Path(aegis.__file__).parent
    packaged = package / "data" / SHIPPED_DATA_NAME
    return packaged if packaged.exists() else package.parent / "data" / SHIPPED_DATA_NAME


def read_shipped_data() -> TrainingData:
    """Read the decisions that AEGIS ships."""
    return read_training_data(shipped_data(), RESEARCH_ACTIONS)


def shipped_heldout() -> Sequence[Decision]:
    """Return the shipped decisions that no training learns from."""
    return split_data(read_shipped_data(), TrainingConfig()).heldout


def choose_data(data: Path | None, workspace: Workspace, progress: Progress = unheard) -> TrainingData:
    """Return the decisions to learn from: those of a file where one is named, else the workspace's own, else the
    shipped ones.

    A workspace's own come first where they are enough to train on; its `why` says what decided. A decision point has
    its own alone. Raises `DataError` when the file as a whole can't be read.
    """
    if workspace.point_name is not None:
        if data is None:
            return read_workspace_data(workspace)
        with open_store(workspace) as store:
            return read_training_data(data, read_actions(store), progress)
    if data is not None:
        return read_training_data(data, RESEARCH_ACTIONS, progress)
    try:
        own = read_workspace_data(workspace, default=RESEARCH_ACTIONS)
    except NotEnoughDataError:
        own = None
    if own is not None and len(own.decisions) >= MIN_TRAINING_DECISIONS:
        return own
    shipped = read_shipped_data()
    if own is None or not len(own.decisions):
        return replace(shipped, shipped=True)
    why = (
        f"{workspace.folder}/ has {len(own.decisions)} of its own and training needs {MIN_TRAINING_DECISIONS}:"
        f" `aegis collect --workspace {workspace.folder}` adds to them"
    )
    return replace(shipped, shipped=True, why=why)
