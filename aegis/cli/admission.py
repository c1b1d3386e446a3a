"""What a command checks before it loads or makes anything: options, addresses, its workspace and the owner.

A bad value is refused in an instant, and no folder is left behind. Nothing here needs torch, except for a CUDA device.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aegis.config import BACKENDS, MIN_TRAINING_DECISIONS, ReinforceConfig
from aegis.errors import ConfigError, StoreError
from aegis.packages import require
from aegis.rendering import counted
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.cli.world import EndpointOptions

_DEVICE = re.compile(r"auto|cpu|cpu:0|cuda|cuda:\d+")


def check_agent(
    workspace: Workspace,
    teacher: str,
    endpoint: EndpointOptions,
    search: str,
    device: str,
    backend: str = "auto",
    needs_teacher: bool = False,
) -> None:
    """Raise an `AegisError` that names the option or the workspace with which no agent can start.

    needs_teacher: ask for a teacher even where an HRM serves.
    """
    from aegis.cli.world import teacher_name
    from aegis.lifecycle.owner import check_teacher, read_owner
    from aegis.research.search import create_search

    check_folder(workspace.folder)
    check_device(device)
    check_backend(backend)
    create_search(search).close()
    endpoint.to_config()
    claim, serves = read_owner(workspace)
    check_teacher(claim, teacher_name(claim, teacher, endpoint), needed=needs_teacher or not serves)


def check_exploring(share: float, never: Sequence[str]) -> None:
    """Raise `ConfigError` for a share out of bounds, or an action that the research agent does not have."""
    from aegis.lifecycle.policies.resolver import ResolverOptions
    from aegis.research.actions import RESEARCH_ACTIONS

    ResolverOptions(explore=share)
    for name in never:
        if name not in RESEARCH_ACTIONS.names:
            raise ConfigError(f"--never-explored {name}: no such action: there are {', '.join(RESEARCH_ACTIONS.names)}")


def check_keep(keep: Sequence[str]) -> None:
    """Raise `ConfigError` for what is out of form, or an action that the research agent does not have."""
    from aegis.research.actions import RESEARCH_ACTIONS

    for kept in ReinforceConfig(keep=tuple(keep)).kept:
        if kept.action not in RESEARCH_ACTIONS.names:
            raise ConfigError(f"--keep {kept.action}: no such action: there are {', '.join(RESEARCH_ACTIONS.names)}")


def check_folder(folder: Path) -> None:
    """Raise `StoreError` for a folder in which no workspace can be opened or made."""
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"--workspace {folder}: not a folder: name one that is, or a new one")
    there = next((path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()), folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise StoreError(f"--workspace {folder}: {there} can't be written: use a --workspace in a folder you may write")


def find_place(workspace: Path | None, point: str | None, may_be_new: bool = False) -> Workspace:
    """Return the workspace that `--workspace` (None: the default one) and `--point` name.

    may_be_new: the command makes a point that is not there. Raises `ConfigError` for a point that is not there, with
    those that are.
    """
    agent = Workspace(workspace or DEFAULT_WORKSPACE)
    if point is None:
        return agent
    place, there = agent.point(point), agent.points()
    if may_be_new or point in there:
        return place
    if not there:
        raise ConfigError(
            f"--point {point}: no decision points in {agent.folder}/: an aegis.Decider makes one, or `aegis import FILE"
            f"{place.options}`"
        )
    mean = _guess(point, there)
    raise ConfigError(f"--point {point}: no such decision point in {agent.folder}/: {mean}There are {', '.join(there)}")


def describe_new(workspace: Workspace) -> str:
    """Return that a workspace or a point is made now, for whoever mistyped its name; '' where it is there."""
    if workspace.database.exists():
        return ""
    if workspace.point_name is None:
        return f"New workspace: {workspace.folder}/"
    mean = _guess(workspace.point_name, Workspace(workspace.folder.parent.parent).points())
    return f"New decision point: {workspace.folder}/{mean and f' ({mean.strip()})'}"


def _guess(point: str, there: Sequence[str]) -> str:
    """Return the point that a name may be meant for, as a question; '' where none is like it."""
    near = difflib.get_close_matches(point, there, 1)
    return f"did you mean {near[0]}? " if near else ""


def describe_way_to_hrm(workspace: Workspace) -> str:
    """Return what to type next for an HRM, in a workspace that has none."""
    from aegis.lifecycle.standing import read_standing
    from aegis.teachers.name import OFFLINE_NAME

    standing = read_standing(workspace)
    if workspace.point_name is not None:
        training, missing = standing.training, standing.remaining
        if training is not None and training.status == "running":
            return f"training {training.number} runs: `aegis status{workspace.options}` shows how far it is"
        after = counted(missing, "more decision")
        return f"its `aegis.Decider` trains one after {after}; `aegis train{workspace.options}` does at once"
    own, missing = standing.teacher, MIN_TRAINING_DECISIONS - standing.collected - standing.labelled
    if own in (None, OFFLINE_NAME) or missing <= 0:  # AEGIS ships decisions of OFFLINE_NAME's
        return f"`aegis train --workspace {workspace.folder}` makes one"
    return (
        f"a training needs {missing} more decisions of {own}'s: `aegis collect --workspace {workspace.folder}"
        f" --decisions {missing}`, then `aegis train --workspace {workspace.folder}`"
    )


def check_device(name: str) -> None:
    """Raise `ConfigError` for a device with an unknown name, or that this machine lacks."""
    if not _DEVICE.fullmatch(name):
        raise ConfigError(f"--device {name!r}: use cpu, cuda, cuda:N or auto")
    if not name.startswith("cuda"):
        return
    require("torch", f"--device {name}")
    if _torch_is_for_cpus():
        raise ConfigError(f"--device {name}: the PyTorch installed here knows no CUDA: use --device cpu or auto")
    from aegis.hrm import resolve_device

    resolve_device(name)


def check_backend(name: str) -> None:
    """Raise `ConfigError` for an unknown backend."""
    if name not in BACKENDS:
        raise ConfigError(f"--backend {name!r}: use {', '.join(BACKENDS)}")


def check_share(option: str, value: float | None) -> None:
    """Raise `ConfigError` for a share that is not between 0 and 1; None: the option was left out."""
    if value is not None and not 0 <= value <= 1:
        raise ConfigError(f"{option} must lie between 0 and 1, not {value:g}")


def check_improvement(workspace: Workspace, decisions: int, worlds: int, every: int) -> None:
    """Raise `ConfigError` where phase 4 can't begin: the numbers are too small, or no HRM serves."""
    from aegis.lifecycle.owner import read_owner

    if decisions < every or worlds < 2:
        raise ConfigError(f"--decisions: at least --rl-every ({every}); --worlds: at least 2 to measure by")
    if not read_owner(workspace)[1]:
        raise ConfigError(
            f"{workspace.folder}: no HRM serves here: run `aegis train --workspace {workspace.folder}` first"
        )


def _torch_is_for_cpus() -> bool:
    try:
        return importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:
        return False
