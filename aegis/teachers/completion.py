"""Probabilities of actions from a chat completion: from its tokens' log-probabilities, or from its text alone.

Pure functions over the JSON of an endpoint's answer, which may lack anything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from aegis.types import ActionList

LEAST_MASS = 0.05
"""If the listed tokens give all actions together less than this, they tell nothing about the choice."""
_TELLING_CHARACTERS = 2
"""Shortest token that counts: a single letter may begin anything."""
_MARKS = " \t\r\n\"'`*.:,;!“”‘’"
_ANSWER_KEY = "action"


def answer_format(actions: ActionList) -> dict[str, Any]:
    """Return the `response_format` that restricts an answer to an action's words (JSON Schema, an enum)."""
    schema = {
        "type": "object",
        "properties": {_ANSWER_KEY: {"type": "string", "enum": [spec.words for spec in actions]}},
        "required": [_ANSWER_KEY],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "decision", "strict": True, "schema": schema}}


def read_answer(text: str, actions: ActionList) -> tuple[float, ...] | None:
    """Return probability 1 for the only action that the answer names; None for any other text.

    The answer may be the action's words, in quotes or with a full stop or not, its name, or a JSON object
    `{"action": words}`.
    """
    plain = text.strip()
    if plain.startswith("{"):
        try:
            document = json.loads(plain)
        except (ValueError, RecursionError):
            return None
        named = document.get(_ANSWER_KEY) if isinstance(document, dict) else None
        plain = named if isinstance(named, str) else ""
    said = " ".join(plain.strip(_MARKS).casefold().split())
    for number, spec in enumerate(actions):
        if said in (spec.words.casefold(), spec.name.casefold()):
            return tuple(float(k == number) for k in range(len(actions)))
    return None


def read_logprobs(content: Any, actions: ActionList) -> tuple[float, ...] | None:
    """Return the actions' probabilities from an answer's `logprobs.content`; None if its tokens name no action.

    A token counts for the action whose words it begins, and is shared between actions if it begins several. The
    chosen token is followed to the end of the words, because `I` may begin `idle` or `I think`. The probabilities are
    normalised over the actions.
    """
    words = [spec.words.casefold() for spec in actions]
    mass = [0.0] * len(words)
    said, reached = "", 1.0
    for place in content if isinstance(content, list) else []:
        tokens = _tokens(place)
        if tokens is None:
            break
        chosen, probabilities = tokens
        for token, probability in probabilities.items():
            if token != chosen and len(_plain(said + token)) >= _TELLING_CHARACTERS:
                _share(mass, _begun(said + token, words), reached * probability)
        said, reached = said + chosen, reached * probabilities[chosen]
        begun = _begun(said, words)
        whole = len(begun) == 1 and len(_plain(said)) >= len(words[begun[0]])
        if whole or (not begun and _plain(said)):
            break
    if len(_plain(said)) >= _TELLING_CHARACTERS:
        exactly = [number for number, word in enumerate(words) if word == _plain(said)]
        _share(mass, exactly or _begun(said, words), reached)
    total = math.fsum(mass)
    return tuple(part / total for part in mass) if total >= LEAST_MASS else None


def _share(mass: list[float], numbers: Sequence[int], probability: float) -> None:
    for number in numbers:
        mass[number] += probability / len(numbers)


def _tokens(place: Any) -> tuple[str, dict[str, float]] | None:
    """Return the chosen token at a place, and the probability of each token listed there, the chosen one included."""
    if not isinstance(place, dict) or not isinstance(place.get("token"), str):
        return None
    others = place.get("top_logprobs")
    listed = [place, *(others if isinstance(others, list) else [])]
    probabilities: dict[str, float] = {}
    for entry in listed:
        token, value = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
        if isinstance(token, str) and isinstance(value, (int, float)) and not math.isnan(value):
            probabilities[token] = math.exp(min(float(value), 0.0))
    return (place["token"], probabilities) if place["token"] in probabilities else None


def _begun(said: str, words: Sequence[str]) -> list[int]:
    """Return the actions whose words begin so, else the action whose words this continues; none for an empty text."""
    plain = _plain(said)
    if not plain:
        return []
    begun = [number for number, word in enumerate(words) if word.startswith(plain)]
    return begun or [number for number, word in enumerate(words) if plain.startswith(word + " ")]


def _plain(said: str) -> str:
    return " ".join(said.strip(_MARKS).casefold().split())
