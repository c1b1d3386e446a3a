"""A logistic regression on fields and words as a policy: states in, choices out; also its folder.

It needs no torch and no scikit-learn. The folder has JSON and safetensors; nothing is ever unpickled.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from aegis.atomic import make_folder, replacing, share
from aegis.bounds import read_json
from aegis.errors import CheckpointError, ConfigError
from aegis.hrm.codec import StateCodec, find_columns
from aegis.hrm.linear.hashing import read_state, scale
from aegis.types import ActionList, ActionSpec, Choice, State
from aegis.workspace import LINEAR

POLICY_FILE, WEIGHTS_FILE, CHECK_FILE = "policy.json", "linear.safetensors", "check.json"
_PROJECTED = 32
"""Width onto which the features are projected, to tell how unlike a state is"""
_LARGEST_DIFFERENCE = 1e-6
_TYPES = {"keys": np.uint64, "scales": np.float32, "weights": np.float32, "intercepts": np.float32, "columns": np.int64}

Arrays = Mapping[str, NDArray[Any]]


class LinearPolicy:
    """Decides by a logistic regression, among the actions that it was trained on.

    arrays: `keys` (F,) of the features, ascending; `scales` (F,), the largest value of each in training; `weights`
    (F, C) of values in that unit; `intercepts` (C,); `columns` (C,), the places of the actions that have a weight.
    Raises `ConfigError` for arrays that do not fit together.
    """

    backend = "numpy"

    def __init__(self, arrays: Arrays, codec: StateCodec, actions: ActionList, name: str = LINEAR) -> None:
        _check(arrays, len(actions))
        self.arrays = dict(arrays)
        self.codec = codec
        self.actions = self._learned = actions
        self._places = _places(arrays["columns"], len(actions))
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def parameters(self) -> int:
        return int(self.arrays["weights"].size + self.arrays["intercepts"].size)

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return one choice per state, among some or all of its actions, in any order.

        Raises `ConfigError` for an action that it does not know (see `with_actions`).
        """
        probabilities, _ = self.answer(states, actions)
        return [Choice.best(row, actions, self.name, "hrm") for row in probabilities.tolist()]

    def probabilities(self, states: Sequence[State], offers: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Return the probabilities (B, A) of all its actions; those that are not on offer have 0."""
        scores = self._read(states)[0]
        offered = np.array([self.actions.mask(names) for names in offers], dtype=bool).reshape(scores.shape)
        return _softmax(scores, offered).astype(np.float32)

    def represent(self, states: Sequence[State]) -> NDArray[np.float32]:
        """Return the states' features projected at random, and how many it does not know (B, 33)."""
        return self._read(states)[1]

    def answer(self, states: Sequence[State], actions: ActionList) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return the probabilities (B, A) and the result of `represent`; raises as `decide` does."""
        columns = find_columns(self.actions, actions, self.name)
        scores, represented = self._read(states)
        scores = scores[:, columns]
        return _softmax(scores, np.ones(scores.shape, dtype=bool)), represented

    def with_actions(self, actions: ActionList) -> LinearPolicy:
        """Return the same model deciding among other actions, which it knows by their words.

        It takes an action that it does not know only where it knows none of those on offer.
        """
        if actions == self.actions:
            return self
        known = {spec.words: place for spec, place in zip(self._learned, self._learned_places, strict=True)}
        other = copy.copy(self)
        other.actions = actions
        other._places = np.array([known.get(spec.words, -1) for spec in actions])
        return other

    def save_as(self, name: str, folder: Path, file: str = POLICY_FILE) -> None:
        """Take a name, which later decisions record, and write the policy; raises `CheckpointError` if it can't be.

        file: takes the place of `policy.json` where that is another policy's.
        """
        self._name = name
        document = {
            "kind": LINEAR,
            "name": name,
            "codec": self.codec.to_document(),
            "actions": [asdict(spec) for spec in self._learned],
        }
        try:
            make_folder(folder)
            with replacing(folder / WEIGHTS_FILE) as partial:
                save_file({key: np.ascontiguousarray(array) for key, array in self.arrays.items()}, partial)
                share(partial)
            write_json(folder / file, document)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{folder}: can't be written ({error}): check the disk's space and permissions"
            ) from error

    def export(self, folder: Path, states: Sequence[State]) -> None:
        """Write the policy, with the actions that it decides among, and its answers on some states: `load` compares."""
        known = np.flatnonzero(self._places >= 0)
        taken = self._places[known]
        arrays = self.arrays | {name: self.arrays[name][..., taken] for name in ("weights", "intercepts")}
        LinearPolicy(arrays | {"columns": known}, self.codec, self.actions).save_as(self.name, folder)
        write_check(self, folder, states)

    @classmethod
    def load(cls, folder: Path | str, file: str = POLICY_FILE) -> LinearPolicy:
        """Read a policy from a folder; raises `CheckpointError` if a file is missing, torn or out of form.

        An exported policy must also answer as where it was exported. file: as of `save_as`.
        """
        folder = Path(folder)
        path = folder / file
        try:
            document = read_json(path)
            specs = tuple(ActionSpec(**spec) for spec in document["actions"])
            codec, name = StateCodec.from_document(document), str(document["name"])
            if document.get("kind") != LINEAR:
                raise ConfigError(f"its kind is not {LINEAR!r}")
            actions = ActionList(specs)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            raise CheckpointError(f"{path}: missing or out of form ({error}): train again") from error
        path = folder / WEIGHTS_FILE
        try:
            policy = cls(load_file(path), codec, actions, name)
        except (OSError, SafetensorError, ValueError, ConfigError) as error:
            raise CheckpointError(f"{path}: missing, torn or out of form ({error}): train again") from error
        if file == POLICY_FILE:
            check_answers(policy, folder, _LARGEST_DIFFERENCE)
        return policy

    @property
    def _learned_places(self) -> list[int]:
        return _places(self.arrays["columns"], len(self._learned)).tolist()

    def _read(self, states: Sequence[State]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return the scores of its actions (B, A), minus infinity for one without a weight, and what they represent."""
        arrays = self.arrays
        scores = np.empty((len(states), len(arrays["columns"]) + 1))
        represented = np.empty((len(states), _PROJECTED + 1), dtype=np.float32)
        scores[:, -1] = -np.inf
        for row, state in enumerate(states):  # each alone, so that no answer depends on the other states
            keys, values = read_state(self.codec.select(state))
            places = np.searchsorted(arrays["keys"], keys)
            known = places < len(arrays["keys"])
            known[known] = arrays["keys"][places[known]] == keys[known]
            places, values = places[known], scale(values[known], arrays["scales"][places[known]])
            scores[row, :-1] = values @ arrays["weights"][places].astype(np.float64) + arrays["intercepts"]
            represented[row] = [*_project(keys[known], values), np.log1p((~known).sum())]
        return scores[:, self._places], represented


def read_kind(folder: Path) -> str:
    """Return the kind of the policy in a folder; '' where its `policy.json` names none."""
    try:
        document = read_json(folder / POLICY_FILE)
    except (OSError, ValueError):
        return ""
    return str(document.get("kind", "")) if isinstance(document, dict) else ""


def _project(keys: NDArray[np.uint64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return features as `_PROJECTED` numbers: each adds its value, by a bit of its key less it, to one of them."""
    signs = np.where(keys >> np.uint64(63), -1.0, 1.0)
    columns = (keys % np.uint64(_PROJECTED)).astype(np.int64)
    return np.asarray(np.bincount(columns, weights=signs * values, minlength=_PROJECTED), dtype=np.float64)


def _places(columns: NDArray[np.int64], actions: int) -> NDArray[np.int64]:
    """Return the column of each action; -1, the last one, without a weight."""
    places = np.full(actions, -1)
    places[columns] = np.arange(len(columns))
    return places


def _softmax(scores: NDArray[np.float64], offered: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the probabilities of those on offer; where none of them has a score, all have the same."""
    scores = np.where(offered, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    blank = np.isneginf(largest)
    powers = np.where(blank, offered, np.exp(np.where(blank, 0.0, scores - np.where(blank, 0.0, largest))))
    return powers / powers.sum(-1, keepdims=True)


def _check(arrays: Arrays, actions: int) -> None:
    shapes = {name: array.shape for name, array in arrays.items()}
    features, columns = len(arrays.get("keys", ())), len(arrays.get("columns", ()))
    wanted: dict[str, tuple[int, ...]] = {
        "keys": (features,),
        "scales": (features,),
        "weights": (features, columns),
        "intercepts": (columns,),
        "columns": (columns,),
    }
    if shapes != wanted or any(arrays[name].dtype != kind for name, kind in _TYPES.items()):
        raise ConfigError(f"its arrays have the shapes {shapes}")
    if features and not (arrays["keys"][1:] > arrays["keys"][:-1]).all():
        raise ConfigError("its keys do not ascend")
    places = arrays["columns"]
    if not columns or len(set(places.tolist())) < columns or places.min() < 0 or places.max() >= actions:
        raise ConfigError(f"its columns do not fit its {actions} actions")
    numbers = [arrays[name] for name in ("scales", "weights", "intercepts")]
    if not all(np.isfinite(array).all() for array in numbers) or not (arrays["scales"] > 0).all():
        raise ConfigError("it holds what is no number")


class Answering(Protocol):
    """What answers states, and can be checked by its answers."""

    actions: ActionList
    codec: StateCodec

    def answer(self, states: Sequence[State], actions: ActionList) -> tuple[NDArray[Any], NDArray[Any]]: ...


def write_check(policy: Answering, folder: Path, states: Sequence[State]) -> None:
    """Write a policy's answers on some states into its export, for `check_answers`."""
    # A field that the user left out may be a secret, so the export must not hold it.
    kept = [policy.codec.leave_out(state) for state in states]
    answers = policy.answer(kept, policy.actions)[0].tolist()
    write_json(folder / CHECK_FILE, {"states": kept, "probabilities": answers})


def check_answers(policy: Answering, folder: Path, most: float) -> None:
    """Raise `CheckpointError` if an exported policy answers otherwise than where it was exported.

    most: the largest difference of a probability. A folder that was not exported has nothing to compare with.
    """
    path = folder / CHECK_FILE
    if not path.exists():
        return
    try:
        document = read_json(path)
        wanted = np.array(document["probabilities"], dtype=np.float64).reshape(-1, len(policy.actions))
        found = policy.answer(document["states"], policy.actions)[0]
        differs = found.shape != wanted.shape or np.abs(found - wanted).max(initial=0) > most
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: out of form ({error}): export it again") from error
    if differs:
        raise CheckpointError(f"{folder}: decides differently here than where it was exported: export it here")


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file in one step."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
