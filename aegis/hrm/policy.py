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
from aegis.hrm.base import BASE, BASE_FILE, KEEP
from aegis.hrm.checkpoint import CONFIG_FILE, WEIGHTS_FILE, read_document, write_folder
from aegis.hrm.codec import StateCodec, find_columns, pad
from aegis.hrm.delta import DELTA_FILE, delta_of, read_version
from aegis.hrm.model import HRM
from aegis.hrm.outputs import NEWEST_FORM, TOKENS_FORM, action_outputs
from aegis.types import ActionList, ActionSpec, Choice, State

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
        self.model.read_codes(codec.codes.table if codec.codes else None)
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

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return one choice per state, among some or all of its actions, in any order.

        Raises `ConfigError` for an action that it does not know (see `with_actions`).
        """
        probabilities, _ = self.answer(states, actions)
        return [Choice.best(row, actions, self.name, "hrm") for row in probabilities.tolist()]

    def think(
        self, states: Sequence[State], to_the_end: bool = False, offers: Sequence[Sequence[str]] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the probabilities (B, A) of all its actions and the segments of thinking that each state took (B,).

        to_the_end: take all segments for every state, whatever the halting unit says. offers: the names on offer for
        each state, all others get the probability 0; None: all are on offer.
        """
        logits, segments, _ = self._think(states, to_the_end)
        if offers is not None and len(states):
            offered = torch.tensor([self.actions.mask(names) for names in offers])
            logits = logits.masked_fill(~offered, -torch.inf)
        return logits.softmax(-1), segments

    def _think(self, states: Sequence[State], to_the_end: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the logits of all its actions (B, A), the segments (B,) and the result of `represent`, on the CPU."""
        encoded = [self.codec.encode(state) for state in states]
        # States of similar length share a batch, so that little padding is computed.
        order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
        logits = torch.empty(len(states), len(self.actions))
        segments = torch.empty(len(states), dtype=torch.long)
        represented = torch.empty(len(states), self.model.config.high_width)
        for start in range(0, len(order), _BATCH_STATES):
            rows = order[start : start + _BATCH_STATES]
            batch = pad([encoded[row] for row in rows], self.device)
            summary = torch.empty(len(rows), self.model.config.high_width, device=self.device)
            found, used = self.model.think(batch.tokens, batch.mask, self.outputs, to_the_end, represented=summary)
            logits[rows], segments[rows] = found.float().cpu(), used.cpu()
            represented[rows] = summary.cpu()
        return logits, segments, represented

    def represent(self, states: Sequence[State]) -> NDArray[np.float32]:
        """Return the high level's state at position 0 after the first segment, (B, high width)."""
        return self._think(states, False)[2].numpy()

    def answer(self, states: Sequence[State], actions: ActionList) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the probabilities (B, A) and, from the same pass, the result of `represent` (B, high width).

        actions, and what is raised: as in `decide`.
        """
        columns = find_columns(self.actions, actions, self.name)
        logits, _, represented = self._think(states, False)
        return logits[:, columns].softmax(-1).numpy(), represented.numpy()

    def with_actions(self, actions: ActionList) -> HRMPolicy:
        """Return the same model deciding among other actions: an action's logit follows from its words alone.

        Words that were not in its training are understood as far as their tokens were. Raises `ConfigError` for two
        actions of the same tokens.
        """
        if actions == self.actions:
            return self
        return HRMPolicy(self.model, self.codec, actions, self.name, self.device, self.action_form)

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
    keep: Sequence[str] = (),
) -> None:
    """Write a version atomically, as the difference from its base.

    extra: further files of tensors, by file name. keep: what it takes wherever its base does (`ReinforceConfig.keep`).
    """
    write_folder(
        folder,
        tensors={DELTA_FILE: delta_of(policy.model, base), **(extra or {})},
        documents={**policy.documents(name), BASE_FILE: {BASE: base_name, KEEP: list(keep)}},
    )


def load_version(folder: Path, base: HRMPolicy | None = None, device: str | torch.device = "cpu") -> HRMPolicy:
    """Read a version as a policy. base: its base, if already loaded; raises as `HRMPolicy.load` does."""
    document: dict[str, Any] = read_document(folder / POLICY_FILE)
    return HRMPolicy.from_document(read_version(folder, base.model if base else None), document, folder, device)
