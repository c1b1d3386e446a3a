"""An HRM and a logistic regression that decide together, by the weighted mean of their log-probabilities.

They err at different states, so together they often err less than either: a logarithmic opinion pool (Genest and
Zidek 1986). The folder is an HRM's; the regression stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from aegis.atomic import make_folder
from aegis.bounds import read_json
from aegis.errors import CheckpointError
from aegis.hrm.linear.policy import POLICY_FILE, Answering, LinearPolicy, check_answers, write_check, write_json
from aegis.types import ActionList, Choice, State
from aegis.workspace import MIXED

LINEAR_FILE = "linear.json"
"""The regression's own `policy.json`"""
GRAPHS_FOLDER = "onnx"
"""Of an exported HRM, within the folder"""
_LEAST = 1e-4
"""A smaller probability counts as this, so that a logarithm stays finite"""

Floats = NDArray[np.float64]
Report = TypeVar("Report")


class Thinker(Answering, Protocol):
    """An HRM, as a model of torch or as exported graphs."""

    backend: str

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> int: ...

    def represent(self, states: Sequence[State]) -> NDArray[np.float32]: ...

    def with_actions(self, actions: ActionList) -> Self: ...


class MixedPolicy:
    """Decides by an HRM and a logistic regression together. share: the HRM's weight, between 0 and 1."""

    def __init__(self, hrm: Thinker, linear: LinearPolicy, share: float, name: str = MIXED) -> None:
        self.hrm, self.linear, self.share = hrm, linear.with_actions(hrm.actions), share
        self.actions, self.codec, self.backend = hrm.actions, hrm.codec, hrm.backend
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def parameters(self) -> int:
        return self.hrm.parameters + self.linear.parameters

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return one choice per state, among some or all of its actions, in any order.

        Raises `ConfigError` for an action that it does not know (see `with_actions`).
        """
        probabilities, _ = self.answer(states, actions)
        return [Choice.best(row, actions, self.name, "hrm") for row in probabilities.tolist()]

    def answer(self, states: Sequence[State], actions: ActionList) -> tuple[Floats, NDArray[np.float32]]:
        """Return the probabilities (B, A) and the result of `represent`; raises as `decide` does."""
        own, represented = self.hrm.answer(states, actions)
        return mix(own, self.linear.answer(states, actions)[0], self.share), represented

    def represent(self, states: Sequence[State]) -> NDArray[np.float32]:
        """Return what the HRM represents, (B, high width)."""
        return self.hrm.represent(states)

    def with_actions(self, actions: ActionList) -> MixedPolicy:
        """Return the same two deciding among other actions, each as its own `with_actions` does."""
        return MixedPolicy(self.hrm.with_actions(actions), self.linear, self.share, self.name)

    def save_as(self, name: str, folder: Path) -> None:
        """Take a name, which later decisions record, and write both; raises `CheckpointError` if they can't be."""
        from aegis.hrm.policy import HRMPolicy

        assert isinstance(self.hrm, HRMPolicy)  # graphs are exported, not saved
        self._name = name
        self.hrm.save_as(name, folder)
        self._write_beside(folder)

    def export(self, folder: Path, states: Sequence[State], write: Callable[[Path], Report]) -> Report:
        """Write both, and their answers on some states, for `load`, which needs no torch.

        write: writes the HRM's graphs into a folder; what it returns is returned.
        """
        make_folder(folder)
        report = write(folder / GRAPHS_FOLDER)
        self._write_beside(folder)
        write_check(self, folder, states)
        return report

    @classmethod
    def load(cls, folder: Path | str) -> MixedPolicy:
        """Read an export; raises `CheckpointError` if a file is missing, torn, out of form or of another export."""
        from aegis.hrm.onnx.policy import LARGEST_DIFFERENCE, OnnxPolicy

        folder = Path(folder)
        policy = join(OnnxPolicy.load(folder / GRAPHS_FOLDER), folder)
        check_answers(policy, folder, LARGEST_DIFFERENCE)
        return policy

    def _write_beside(self, folder: Path) -> None:
        """Write the regression and the share beside the HRM."""
        self.linear.save_as(self.name, folder, LINEAR_FILE)
        path = folder / POLICY_FILE
        document = read_json(path) if path.exists() else {}
        try:
            write_json(path, {**document, "name": self.name, "kind": MIXED, "share": self.share})
        except OSError as error:
            raise CheckpointError(f"{path}: can't be written ({error}): check the disk's space") from error


def mix(own: NDArray[Any], other: NDArray[Any], share: float) -> Floats:
    """Return the weighted mean of two log-probabilities (B, A) as probabilities; share: the weight of `own`.

    Where `other` has 0 it knows nothing of the action, e.g. a new one, and `own` alone says how probable it is. An
    action with 0 in both is not on offer, and keeps it.
    """
    other = np.where(other > 0, other, own)
    logs = [np.log(np.maximum(one.astype(np.float64), _LEAST)) for one in (own, other)]
    powers = np.exp(share * logs[0] + (1 - share) * logs[1]) * (other > 0)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def join(hrm: Thinker, folder: Path) -> MixedPolicy:
    """Return the policy of a folder whose HRM is loaded; raises `CheckpointError` if the rest is out of form."""
    path = folder / POLICY_FILE
    try:
        document = read_json(path)
        share, name = float(document["share"]), str(document["name"])
        if document["kind"] != MIXED or not 0 < share < 1:
            raise ValueError(f"kind {document['kind']!r}, share {share}")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: missing or out of form ({error}): train again") from error
    return MixedPolicy(hrm, LinearPolicy.load(folder, LINEAR_FILE), share, name)
