"""A state as a row of numbers, for learners that read no text: counts, flags and hashed words."""

from __future__ import annotations

import re
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegis.rendering import render_compact
from aegis.types import State

WORD_FEATURES = 256
"""Number of buckets for the hashed words of the rendered state."""
_WORDS = ("search", "ask", "propose")
_RECENT = 3
_WORD = re.compile(r"\w+")
_MOST = {"facts": 20.0, "idle_turns": 5.0, "answers": 5.0, "approvals": 5.0, "open": 5.0, "words": 4.0}
"""Counts at which a number reaches its maximum, 1."""
FIXED_FEATURES = 9 + _RECENT * (len(_WORDS) + 1)
FEATURES = FIXED_FEATURES + WORD_FEATURES


def features(state: State) -> NDArray[np.float32]:
    """Return `FEATURES` numbers from 0 to 1.

    In order: a person is present; search, ask, propose on offer; open questions to search for; idle turns; facts;
    awaited answers and approvals; for each of the last three actions, the newest first, its kind (search, ask, propose)
    and whether it brought nothing; then the frequency of each hashed word in the rendered state. What a state lacks is
    0.
    """
    options = [str(option) for option in _list(state.get("options"))]
    waiting, knowledge = _dict(state.get("waiting")), _dict(state.get("knowledge"))
    values = [float(state.get("human") == "here")]
    values += [float(any(option.startswith(f"{word}:") for option in options)) for word in _WORDS]
    values += [
        _share(_open_questions(options), "open"),
        _share(state.get("idle_turns"), "idle_turns"),
        _share(knowledge.get("facts"), "facts"),
        _share(waiting.get("answers"), "answers"),
        _share(waiting.get("approvals"), "approvals"),
    ]
    recent = [str(entry) for entry in _list(state.get("recent"))][::-1][:_RECENT]
    for entry in recent + [""] * (_RECENT - len(recent)):
        values += [float(entry.startswith(word)) for word in _WORDS]
        values.append(float("nothing" in entry))
    counts = np.zeros(WORD_FEATURES)
    for word in _WORD.findall(render_compact(state).casefold()):
        counts[zlib.crc32(word.encode("utf-8", "replace")) % WORD_FEATURES] += 1
    return np.concatenate([values, np.minimum(counts / _MOST["words"], 1.0)]).astype(np.float32)


def _open_questions(options: list[str]) -> int:
    """Return the number of questions that a search is offered for: `search: What is WAL? and 2 more` are three."""
    for option in options:
        if option.startswith("search:"):
            _, _, rest = option.rpartition(" and ")
            number = rest.removesuffix(" more")
            return 1 + (int(number) if rest.endswith(" more") and number.isdecimal() else 0)
    return 0


def _share(value: Any, kind: str) -> float:
    number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
    return min(1.0, max(0.0, number / _MOST[kind]))


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
