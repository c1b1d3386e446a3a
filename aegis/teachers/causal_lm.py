"""A teacher from any causal language model: scores the actions' words after a prompt, and corrects the model's bias.

`aegis.teachers.loading` fetches and opens the model.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aegis.errors import TeacherError
from aegis.rendering import canonical_json
from aegis.teachers.prompt import (
    CONTENT_FREE_VALUES,
    QUESTION,
    content_free_state,
    render_instructions,
    render_situation,
)
from aegis.types import ActionList, Choice, State

_ROOM_FOR_ACTION_TOKENS = 16


_INSTRUCTIONS_KEPT, _BIASES_KEPT = 4, 256
"""Lists of actions whose instructions are kept as the model read them (megabytes each), and biases by list and form"""


class CausalLMTeacher:
    """A language model that gives each action a probability.

    An action's score is the log-probability of its words after the prompt. The instructions are computed once and
    kept, the rest of the prompt once per state, and the actions in one batch after it. The scores are corrected by
    contextual calibration (Zhao et al. 2021, arXiv:2102.09690): each is divided by the model's score of the same words
    after a state without content (the mean over several such states), then all are normalised.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, source: str) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._name = name
        self._source = source
        self._instructions: dict[ActionList, _Instructions] = {}
        self._bias: dict[tuple[ActionList, str], Tensor] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def source(self) -> str:
        return self._source

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self._model.parameters())

    @torch.inference_mode()
    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return choices by calibrated probabilities. Raises `TeacherError` if the model gives a non-finite score."""
        result = []
        for state in states:
            scores = self.score(state, actions)
            corrected = (scores - self._content_free_bias(state, actions)).softmax(-1)
            if not bool(torch.isfinite(corrected).all()):
                raise TeacherError(f"teacher {self.name}: its scores are not finite: {scores.tolist()}")
            result.append(Choice.best(corrected.tolist(), actions, self.name, "teacher"))
        return result

    @torch.inference_mode()
    def score(self, state: State, actions: ActionList) -> Tensor:
        """Return each action's uncorrected log-probability after the prompt, (A,) float64."""
        instructions = self._prepare(actions)
        situation = self._encode(render_situation(state))
        if len(situation) > instructions.room:
            # The state is cut to fit, never the question: the words would answer nothing.
            situation = situation[: instructions.room - len(instructions.question)] + instructions.question
        cache = copy.deepcopy(instructions.cache)
        device = self._model.device
        prompt = torch.tensor([situation], device=device)
        first = self._model(prompt, past_key_values=cache, logits_to_keep=1).logits[0, -1]
        scores = first.double().log_softmax(-1)[instructions.words[:, 0]]  # (A,)
        if instructions.words.shape[1] > 1:
            cache.batch_repeat_interleave(len(actions))
            logits = self._model(instructions.words[:, :-1], past_key_values=cache).logits  # (A, W - 1, V)
            later = logits.double().log_softmax(-1).gather(-1, instructions.words[:, 1:, None]).squeeze(-1)
            scores = scores + (later * instructions.real[:, 1:]).sum(-1)
        return scores.cpu()

    def _content_free_bias(self, state: State, actions: ActionList) -> Tensor:
        empty = [content_free_state(state, value) for value in CONTENT_FREE_VALUES]
        key = (actions, canonical_json(empty[0]))
        if key not in self._bias:
            _make_room(self._bias, _BIASES_KEPT)
            scores = torch.stack([self.score(neutral, actions) for neutral in empty])
            self._bias[key] = scores.softmax(-1).mean(0).log()
        return self._bias[key]

    def _prepare(self, actions: ActionList) -> _Instructions:
        if actions not in self._instructions:
            _make_room(self._instructions, _INSTRUCTIONS_KEPT)
            self._instructions[actions] = self._read_instructions(actions)
        return self._instructions[actions]

    def _read_instructions(self, actions: ActionList) -> _Instructions:
        start = self._tokenizer.bos_token_id
        text = self._encode(render_instructions(actions))
        ids = text if start is None else [start, *text]
        window = getattr(self._model.config, "max_position_embeddings", None) or len(ids) + 4096
        words = [self._encode(" " + spec.words) for spec in actions]
        longest = max(len(word) for word in words)
        question = self._encode(QUESTION)
        room = window - len(ids) - longest - _ROOM_FOR_ACTION_TOKENS
        if room <= len(question):
            raise TeacherError(
                f"teacher {self.name}: its window of {window} tokens has no room for a state after the {len(ids)}"
                " tokens of the actions' descriptions: shorten them"
            )
        device = self._model.device
        from transformers import DynamicCache  # takes seconds to import, and the prompt alone does not need it

        cache = DynamicCache()
        self._model(torch.tensor([ids], device=device), past_key_values=cache, logits_to_keep=1)
        return _Instructions(
            cache=cache,
            room=room,
            question=question,
            words=torch.tensor([word + word[-1:] * (longest - len(word)) for word in words], device=device),
            real=torch.tensor([[k < len(word) for k in range(longest)] for word in words], device=device),
        )

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _make_room(kept: dict[Any, Any], most: int) -> None:
    """Forget the oldest entry where there are as many as may be kept."""
    if len(kept) >= most:
        del kept[next(iter(kept))]


class _Instructions:
    """The instructions as the model has read them, and the actions' words as tokens."""

    def __init__(self, cache: Any, room: int, question: list[int], words: Tensor, real: Tensor) -> None:
        self.cache = cache
        self.room = room  # tokens left for a state and the question after it
        self.question = question
        self.words = words  # (A, W), padded
        self.real = real  # (A, W), false at padding
