"""Cuts a state that has more tokens than a model may read.

Every field gets a fair share of the tokens. Short fields stay whole, and long fields divide the rest. A long field
keeps its head and its tail, with an ellipsis between. A list of chat messages keeps the newest messages. If there are
too many fields for 8 tokens each, the state keeps the head and the tail of its whole text.
"""

from __future__ import annotations

from collections.abc import Sequence

from aegis.hrm.vocabulary import load_vocabulary
from aegis.rendering import Field, are_messages

LEAST_SHARE = 8
"""Tokens per field; fewer say little."""


def fit(fields: Sequence[Field], room: int) -> list[int]:
    """Return at most `room` tokens of a state's fields."""
    encode = load_vocabulary().encode_ordinary
    pieces = [encode(field.text) for field in fields]
    shares = share_fairly([len(piece) for piece in pieces], room)
    if any(share < min(len(piece), LEAST_SHARE) for piece, share in zip(pieces, shares, strict=True)):
        return keep_ends([token for piece in pieces for token in piece], room)
    kept: list[int] = []
    for field, piece, share in zip(fields, pieces, shares, strict=True):
        cut = len(piece) > share and are_messages(field.value)
        kept += keep_newest(field, share) if cut else keep_ends(piece, share)
    return kept


def share_fairly(lengths: Sequence[int], room: int) -> list[int]:
    """Return each length's share of the room: short lengths whole, the others an equal share of the rest."""
    shares = [0] * len(lengths)
    for done, place in enumerate(sorted(range(len(lengths)), key=lengths.__getitem__)):
        shares[place] = min(lengths[place], room // (len(lengths) - done))
        room -= shares[place]
    return shares


def keep_ends(tokens: list[int], room: int) -> list[int]:
    """Return all tokens if they fit; else the head and the tail with an ellipsis between, `room` tokens in all."""
    if len(tokens) <= room:
        return tokens
    ellipsis = _ellipsis()
    if room < len(ellipsis) + 2:
        return tokens[:room]
    tail = (room - len(ellipsis)) // 2
    return tokens[: room - len(ellipsis) - tail] + ellipsis + tokens[-tail:]


def keep_newest(field: Field, room: int) -> list[int]:
    """Return the newest messages of a chat, at most `room` tokens: the last messages whole, the one before them cut."""
    encode = load_vocabulary().encode_ordinary
    label, ellipsis = encode(field.label), _ellipsis()
    left = room - len(label) - len(ellipsis)
    if left < LEAST_SHARE:
        return keep_ends(encode(field.text), room)
    kept: list[int] = []
    for place in reversed(range(len(field.value))):
        mark = "" if place == len(field.value) - 1 else ";"
        message = encode(f" {field.words(field.value[place])}{mark}")
        if len(message) > left:
            part = keep_ends(message, left) if left >= LEAST_SHARE or not kept else []
            return [*label, *(ellipsis if place else []), *part, *kept] if part else [*label, *ellipsis, *kept]
        kept = message + kept
        left -= len(message)
    return label + kept


def _ellipsis() -> list[int]:
    return load_vocabulary().encode_ordinary(" …")
