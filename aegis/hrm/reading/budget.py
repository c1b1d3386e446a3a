"""What is kept of a state that has more tokens than a model may read.

Every field gets a fair share of the tokens: short fields are whole, and what these leave over is divided among the long
ones. Of a long field the head and the tail are kept, with an ellipsis between. Of a list of chat messages the newest
ones are kept. Where there are too many fields for 8 tokens each, the head and the tail of the whole text are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from aegis.hrm.vocabulary import load_vocabulary
from aegis.rendering import Field, are_messages

LEAST_SHARE = 8
"""Tokens; a field says little in fewer."""


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
    """Return a share of the room for each length: what fits is whole, the others get equal shares of the rest."""
    shares = [0] * len(lengths)
    for done, place in enumerate(sorted(range(len(lengths)), key=lengths.__getitem__)):
        shares[place] = min(lengths[place], room // (len(lengths) - done))
        room -= shares[place]
    return shares


def keep_ends(tokens: list[int], room: int) -> list[int]:
    """Return the head and the tail with an ellipsis between, `room` tokens; all of them where they fit."""
    if len(tokens) <= room:
        return tokens
    ellipsis = _ellipsis()
    if room < len(ellipsis) + 2:
        return tokens[:room]
    tail = (room - len(ellipsis)) // 2
    return tokens[: room - len(ellipsis) - tail] + ellipsis + tokens[-tail:]


def keep_newest(field: Field, room: int) -> list[int]:
    """Return the newest messages of a chat, `room` tokens at most: the last ones whole, the one before them cut."""
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
