"""The trained HRM as a policy: states in, choices out. This module also reads and writes the policy's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aegis.errors import CheckpointError, ConfigError
from aegis.hrm.base import BASE_FILE
from aegis.hrm.checkpoint import CONFIG_FILE, WEIGHTS_FILE, read_document, write_folder
from aegis.hrm.codec import StateCodec, pad
from aegis.hrm.delta import DELTA_FILE, delta_of, read_version
from aegis.hrm.model import HRM
from aegis.hrm.outputs import NEWEST_FORM, TOKENS_FORM, action_outputs
from aegis.types import ActionList, ActionSpec, Choice, Offers, State, check_offers

POLICY_FILE = "policy.json"
_BATCH_STATES = 64


class HRMPolicy:
    """Decides by an HRM, among the actions that it was trained on."""

    backend = "eager"

    def __init__(
        self,
        model: HRM,
        codec: StateCodec,
        actions: ActionList,
        name: str = "hrm",
        device: str | torch.device = "cpu",
        action_form: int = NEWEST_FORM,
    ) -> None:
        """action_form: the form of actions that the model was trained with (`aegis.hrm.outputs`)."""
        model.config.check_tokens(codec.max_tokens)
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.codec = codec
        self.actions = actions
        self._name = name
        self.action_form = action_form
        self.outputs = action_outputs(actions, model.config.vocab_size, action_form, self.device)

    @property
    def name(self) -> str:
        return self._name

    @property
    def parameters(self) -> int:
        return self.model.parameter_count

    def decide(self, states: Sequence[State], actions: ActionList, on_offer: Offers | None = None) -> list[Choice]:
        """Return one choice per state.

        on_offer: the actions on offer for each state; the others get the probability 0. None: all are on offer.
        Raises `ConfigError` for actions that the HRM was not trained on, `DataError` for a malformed `on_offer`.
        """
        if actions.names != self.actions.names:
            raise ConfigError(
                f"{self.name} was trained on the actions {', '.join(self.actions.names)},"
                f" not on {', '.join(actions.names)}: train it on decisions among these"
            )
        probabilities, _, _ = self._think(states, False, on_offer)
        return [Choice.best(row, actions, self.name, "hrm") for row in probabilities.tolist()]

    def think(self, states: Sequence[State], to_the_end: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the probabilities (B, A) and each state's number of segments of thinking (B,).

        to_the_end: think all segments for every state, and ignore the halting unit.
        """
        return self._think(states, to_the_end)[:2]

    def _think(
        self, states: Sequence[State], to_the_end: bool, on_offer: Offers | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if on_offer is not None:
            check_offers(on_offer, len(states), len(self.actions))
        encoded = [self.codec.encode(state) for state in states]
        # States of similar length share a batch, so that little padding is computed.
        order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
        probabilities = torch.empty(len(states), len(self.actions))
        segments = torch.empty(len(states), dtype=torch.long)
        represented = torch.empty(len(states), self.model.config.high_width)
        for start in range(0, len(order), _BATCH_STATES):
            rows = order[start : start + _BATCH_STATES]
            batch = pad([encoded[row] for row in rows], self.device)
            summary = torch.empty(len(rows), self.model.config.high_width, device=self.device)
            logits, used = self.model.think(batch.tokens, batch.mask, self.outputs, to_the_end, represented=summary)
            if on_offer is not None:
                offered = torch.tensor([list(on_offer[row]) for row in rows], dtype=torch.bool, device=self.device)
                logits = logits.masked_fill(~offered, -torch.inf)
            probabilities[rows], segments[rows] = logits.softmax(-1).cpu(), used.cpu()
            represented[rows] = summary.cpu()
        return probabilities, segments, represented

    def represent(self, states: Sequence[State]) -> NDArray[np.float32]:
        """Return the high level's state at position 0 after the first segment, (B, high width)."""
        return self._think(states, False)[2].numpy()

    def answer(self, states: Sequence[State]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the probabilities (B, A) and the result of `represent` (B, high width), from one pass."""
        probabilities, _, represented = self._think(states, False)
        return probabilities.numpy(), represented.numpy()

    def save(self, folder: Path) -> None:
        """Write the policy into a folder atomically; raises `CheckpointError` if the folder can't be written."""
        write_folder(folder, tensors={WEIGHTS_FILE: self.model.state_dict()}, documents=self.documents(self.name))

    def documents(self, name: str) -> dict[str, Any]:
        """Return the JSON documents of the policy's folder by file name; `name` is the policy's name in them."""
        policy = {
            "name": name,
            "codec": self.codec.to_document(),
            "action_form": self.action_form,
            "actions": [asdict(spec) for spec in self.actions],
        }
        return {CONFIG_FILE: asdict(self.model.config), POLICY_FILE: policy}

    def save_as(self, name: str, folder: Path) -> None:
        """Take a name, which later decisions record, and save the policy."""
        self._name = name
        self.save(folder)

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> HRMPolicy:
        """Read a policy from a folder; raises `CheckpointError` if a file is missing, torn or malformed."""
        document = read_document(folder / POLICY_FILE)
        return cls.from_document(read_version(folder), document, folder, device)

    @classmethod
    def from_document(
        cls, model: HRM, document: Mapping[str, Any], folder: Path, device: str | torch.device = "cpu"
    ) -> HRMPolicy:
        """Return the policy of a model and its `policy.json`; raises `CheckpointError` if that is malformed."""
        try:
            specs = tuple(ActionSpec(**spec) for spec in document["actions"])
            codec, name = StateCodec.from_document(document), str(document["name"])
            return cls(model, codec, ActionList(specs), name, device, document.get("action_form", TOKENS_FORM))
        except (KeyError, TypeError, AttributeError, ConfigError) as error:
            raise CheckpointError(f"{folder / POLICY_FILE}: out of form ({error}): train again") from error


def write_delta(
    policy: HRMPolicy,
    base: HRM,
    base_name: str,
    name: str,
    folder: Path,
    extra: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> None:
    """Write a version atomically, as the difference from its base. extra: further files of tensors, by file name."""
    write_folder(
        folder,
        tensors={DELTA_FILE: delta_of(policy.model, base), **(extra or {})},
        documents={**policy.documents(name), BASE_FILE: {"base": base_name}},
    )


def load_version(folder: Path, base: HRMPolicy | None = None, device: str | torch.device = "cpu") -> HRMPolicy:
    """Read a version as a policy. base: its base, if already loaded; raises as `HRMPolicy.load` does."""
    document: dict[str, Any] = read_document(folder / POLICY_FILE)
    return HRMPolicy.from_document(read_version(folder, base.model if base else None), document, folder, device)
