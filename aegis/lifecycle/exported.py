"""A version in a folder of its own, to decide elsewhere: written with what it keeps of its base, and read back.

A version that phase 4 improved may keep actions of its base (`aegis.lifecycle.policies.keeping`). Its export holds
both, so that it decides as the version that serves. Reading an export needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from aegis.atomic import make_folder
from aegis.bounds import read_json
from aegis.config import KeptAction
from aegis.errors import CheckpointError, ConfigError
from aegis.hrm import LinearPolicy, MixedPolicy, OnnxPolicy, StateCodec
from aegis.hrm.linear.mixed import GRAPHS_FOLDER
from aegis.hrm.linear.policy import check_answers, read_kind, write_check, write_json
from aegis.hrm.onnx.policy import LARGEST_DIFFERENCE, POLICY_FILE
from aegis.lifecycle.policies.keeping import KeepingPolicy
from aegis.types import ActionList, Policy, State
from aegis.workspace import LINEAR, MIXED, SHIELDED

if TYPE_CHECKING:
    from aegis.hrm import HRMPolicy

BASE_FOLDER = "base"
"""Of the base's graphs, within the folder"""

Report = TypeVar("Report")


class _Reading(Policy, Protocol):
    """An HRM, as a model of torch or as exported graphs."""

    actions: ActionList
    codec: StateCodec


class ShieldedPolicy(KeepingPolicy):
    """A version that phase 4 improved, with the actions that it keeps of its base: both in one export."""

    def __init__(self, policy: _Reading, base: _Reading, kept: Sequence[KeptAction]) -> None:
        super().__init__(policy, base, kept)
        self.actions, self.codec = policy.actions, policy.codec

    def answer(self, states: Sequence[State], actions: ActionList) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return the probabilities (B, A), and nothing that it represents (B, 0)."""
        choices = self.decide(states, actions)
        probabilities = np.array([one.probabilities for one in choices], dtype=np.float64)
        return probabilities.reshape(len(states), len(actions)), np.empty((len(states), 0), dtype=np.float32)

    @classmethod
    def load(cls, folder: Path | str) -> ShieldedPolicy:
        """Read an export; raises `CheckpointError` if a file is missing, torn, out of form or of another export."""
        folder = Path(folder)
        path = folder / POLICY_FILE
        try:
            document = read_json(path)
            if document["kind"] != SHIELDED:
                raise ConfigError(f"its kind is not {SHIELDED!r}")
            kept = [KeptAction.parse(one) for one in document["keep"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            raise CheckpointError(f"{path}: missing or out of form ({error}): export it again") from error
        policy = cls(OnnxPolicy.load(folder / GRAPHS_FOLDER), OnnxPolicy.load(folder / BASE_FOLDER), kept)
        check_answers(policy, folder, LARGEST_DIFFERENCE)
        return policy


Exported: TypeAlias = OnnxPolicy | LinearPolicy | MixedPolicy | ShieldedPolicy


def load_export(folder: Path | str) -> Exported:
    """Read what `aegis export FOLDER --onnx` wrote, of whichever kind, to decide by: `decide(states, policy.actions)`.

    A state is an object, a text or chat messages, as for a `Decider`. Raises `CheckpointError` if a file is missing,
    torn, out of form or of another export, or if it decides otherwise than where it was exported; `ConfigError` without
    the packages that it needs.
    """
    kinds: Mapping[str, Callable[[Path], Exported]] = {
        LINEAR: LinearPolicy.load,
        MIXED: MixedPolicy.load,
        SHIELDED: ShieldedPolicy.load,
    }
    return kinds.get(read_kind(Path(folder)), OnnxPolicy.load)(Path(folder))


def write_shielded(
    policy: HRMPolicy,
    base: HRMPolicy,
    kept: Sequence[KeptAction],
    folder: Path,
    states: Sequence[State],
    write: Callable[[HRMPolicy, Path], Report],
) -> Report:
    """Write an improved version with its base and what it keeps of it; return the report of the version alone.

    states: those whose answers are written, too, for `load`. write: writes the graphs of one of the two into a folder.
    """
    make_folder(folder)
    report = write(policy, folder / GRAPHS_FOLDER)
    write(base, folder / BASE_FOLDER)
    document = {"kind": SHIELDED, "name": policy.name, "keep": [str(one) for one in kept]}
    write_json(folder / POLICY_FILE, document)
    write_check(ShieldedPolicy(policy, base, kept), folder, states)
    return report
