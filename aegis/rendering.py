"""A state as text: in lines for teachers, in compact form for the HRM; and as features for simple models.

Equal JSON objects give equal text. Underscores become spaces, and lists are joined with "; ". Text and messages become
states here too. Text from the world is stripped of control characters.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from aegis.bounds import LEVELS
from aegis.errors import DataError
from aegis.types import State

_WORD = re.compile(r"\w+")
MAX_VALUE_CHARACTERS = 160
"""A line for a person is cut at this length, with an ellipsis."""
STATE_LEVELS = LEVELS // 2
"""Lists and objects of a state in each other, at most: a record of a file has its state inside of it."""
_JSON_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]|[^"\[\]{}]+')


@dataclass(frozen=True, slots=True)
class Wording:
    """How a state's values become words."""

    longest_text: int | None
    """Characters at which each string is cut; None: it is whole"""
    number: Callable[[float], str]


def write_number(number: float) -> str:
    """Return a number that reads back as the same number: `1234.6`, `0.25`, and `3` for 3.0.

    There is no exponent from 0.0001 to 1e16, so that digits of the same place stand at the same place.
    """
    return repr(number).removesuffix(".0")


WHOLE = Wording(None, write_number)
MEDIA = {
    *("image", "image_url", "input_image", "audio", "input_audio", "video", "video_url", "file", "input_file"),
    *("document", "blob", "uri", "computer_screenshot"),
}
"""Types of a message's parts that are no text, whatever fields they have"""
_UNREAD_MARK = re.compile(rf"(?:^|: )\[(?:{'|'.join(sorted(MEDIA))})\]$", re.MULTILINE)
SHORTENED = Wording(MAX_VALUE_CHARACTERS, "{:.3g}".format)
"""Three digits of each number, 160 characters of each string: what models read that were trained before codec 2."""


def to_state(value: Any) -> dict[str, Any]:
    """Return any JSON value as a state, which is an object.

    An object stays as it is, but the state is a copy: who changes it, or what was given, changes nothing else. A text
    becomes `{"text": ...}`. A list of chat messages (objects with a `role` and a
    `content`) becomes `{"messages": [...]}`; of each message, parts of text are joined into one text, another part is
    named by its type in brackets (`[image_url]`), and fields that are empty are left out. Anything else becomes
    `{"value": ...}`. Raises `DataError` for a value that JSON has no form for, for one with nothing in it, and for one
    that nests more than `STATE_LEVELS` deep.
    """
    if is_blank(value):
        raise DataError(f"a state must not be empty ({value!r:.20}): give it what the decision depends on")
    if isinstance(value, str):
        return {"text": value}
    given = copy_json(value if isinstance(value, dict) else {"value": value})
    try:
        canonical_json(given)
    except (TypeError, ValueError) as error:
        raise DataError(_name_odd(given) or f"a state must be JSON: {error}") from None
    if isinstance(value, dict):
        return given
    if are_messages(given["value"]):
        return {"messages": [_to_message(message) for message in given["value"]]}
    return given


def copy_json(value: Any, levels: int = STATE_LEVELS) -> Any:
    """Return a copy of a JSON value, its lists and objects too; raises `DataError` where it nests deeper."""
    if not isinstance(value, (dict, list, tuple)):
        return value
    if not levels:
        raise DataError(
            f"a state must not nest lists and objects more than {STATE_LEVELS} deep: leave out what lies deeper, or"
            " give it as a text"
        )
    if isinstance(value, dict):
        return {key: copy_json(one, levels - 1) for key, one in value.items()}
    copied = [copy_json(one, levels - 1) for one in value]
    return tuple(copied) if isinstance(value, tuple) else copied


def is_blank(value: Any) -> bool:
    """Tell whether this is an object or a list with nothing in it, or a text of spaces alone.

    An object with fields is not blank, even if each of them is: that a ticket has no text may decide something.
    """
    return not value.strip() if isinstance(value, str) else isinstance(value, (dict, list, tuple)) and not value


def are_messages(value: Any) -> bool:
    """Tell whether this is a list of chat messages: one or more objects, each with a `role` and a `content`."""
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(isinstance(one, Mapping) and "role" in one and "content" in one for one in value)
    )


def names_unread(value: Any) -> bool:
    """Tell whether a state names something that is no text, as `to_state` and the readers of requests do: `[image]`.

    What it shows is not in the state, so a model that reads the state alone knows nothing of it.
    """
    if isinstance(value, str):
        return "[" in value and _UNREAD_MARK.search(value) is not None
    if isinstance(value, Mapping):
        return any(map(names_unread, value.values()))
    return isinstance(value, (list, tuple)) and any(map(names_unread, value))


def clean_text(text: str, limit: int | None = MAX_VALUE_CHARACTERS) -> str:
    """Return the text on one line, without control characters, at most `limit` characters long; None: all of it."""
    if text.isascii() and text.isprintable():  # nearly all text: nothing to replace
        kept = text
    else:
        kept = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    line = " ".join(kept.split())
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as in `1 epoch`, `2 epochs`, `1,100 decisions`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def render_state(state: State) -> str:
    """Return the state as lines of `key: value`, sorted by key; items of nested objects are joined with ", "."""
    return "\n".join(f"{_key(key, WHOLE)}: {_value(state[key], ', ', WHOLE)}" for key in sorted(state))


def render_compact(state: State, wording: Wording = WHOLE) -> str:
    """Return the same words on a single line, each after a space, with a quarter fewer tokens.

    Numbers and flags come first, then strings, then objects, then lists; each kind is sorted by key. So short values
    stand at nearly the same place in every state.
    """
    return "".join(field.text for field in compact_fields(state, wording))


class Field(NamedTuple):
    """One value of a state, no object, with the words of the keys that lead to it from the field before it."""

    label: str
    """Each word after a space"""
    value: Any
    wording: Wording

    @property
    def text(self) -> str:
        """Its part of the state's compact text."""
        return f"{self.label} {self.words(self.value)}"

    def words(self, value: Any) -> str:
        """Return the words of the value, or of an item of it."""
        return _value(value, " ", self.wording)


def compact_fields(state: State, wording: Wording = WHOLE) -> Iterator[Field]:
    """Yield the fields of which `render_compact` joins the texts, in this order."""
    for key in sorted(state, key=lambda key: (_kind(state[key]), key)):
        yield from _fields(f" {_key(key, wording)}", state[key], wording)


def canonical_json(value: Any) -> str:
    """Return JSON in one canonical spelling (sorted keys, no spaces), for hashing and comparing."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def load_state(text: str) -> dict[str, Any]:
    """Return a recorded state from its JSON.

    One that nests deeper than `STATE_LEVELS`, recorded before there was this bound, is read cut there: what reads
    states calls itself once a level or more.
    """
    try:
        state: dict[str, Any] = json.loads(text)
        if text.count("[") + text.count("{") <= STATE_LEVELS or not _nests_deeper(state, STATE_LEVELS):
            return state
    except RecursionError:
        pass
    kept, depth = list[str](), 0
    for part in _JSON_PART.findall(text):
        depth += part in ("[", "{")
        if depth <= STATE_LEVELS:
            kept.append(part)
        elif depth == STATE_LEVELS + 1 and part in ("[", "{"):
            kept.append('"…"')
        depth -= part in ("]", "}")
    state = json.loads("".join(kept))
    return state


def _nests_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_nests_deeper(one, levels - 1) for one in inner)


def _name_odd(value: Any, place: str = "") -> str:
    """Return what is wrong with the first value that JSON has no form for, and where it is; '' where there is none."""
    if isinstance(value, dict):
        if 0 < sum(isinstance(key, str) for key in value) < len(value):
            return f"a state must be JSON: the keys of {place or 'the state'} are not all texts: make them texts"
        for key, one in value.items():
            if not (key is None or isinstance(key, (str, int, float))):
                where = f" of {place}" if place else ""
                return f"a state must be JSON: the key {key!r:.40}{where} is a {type(key).__name__}: make it a text"
            if odd := _name_odd(one, f"{place}.{key}" if place else str(key)):
                return odd
    elif isinstance(value, (list, tuple)):
        return next(filter(None, (_name_odd(one, f"{place}[{number}]") for number, one in enumerate(value))), "")
    elif isinstance(value, float) and not math.isfinite(value):
        return f"a state must be JSON: {place} is {value}: give a finite number, or null"
    elif not (value is None or isinstance(value, (str, int, float))):
        return (
            f"a state must be JSON: {place} is a {type(value).__name__}: make it a number, a text, true, false, null, a"
            " list or an object"
        )
    return ""


def _to_message(message: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in message.items() if value not in (None, "", [], {})}
    return kept | {"role": message["role"], "content": _join_parts(message["content"])}


def _join_parts(content: Any) -> Any:
    """Return a message's content as one text where it is a list of parts, else as it is."""
    if not isinstance(content, (list, tuple)):
        return "" if content is None else content
    return "\n".join(_part_text(part) for part in content)


def _part_text(part: Any) -> str:
    if isinstance(part, Mapping):
        text = part.get("text")
        return text if isinstance(text, str) else f"[{part.get('type', 'part')}]"
    return str(part)


def _fields(label: str, value: Any, wording: Wording) -> Iterator[Field]:
    if not isinstance(value, dict) or not value:
        yield Field(label, value, wording)
        return
    for key in sorted(value):
        yield from _fields(f"{label} {_key(key, wording)}", value[key], wording)
        label = ""  # the object's name stands before its first field alone


def _key(key: str, wording: Wording) -> str:
    return clean_text(str(key), wording.longest_text).replace("_", " ")


def _kind(value: Any) -> int:
    """Return 0 for numbers, flags and null, 1 for strings, 2 for objects, 3 for lists."""
    return (
        1 if isinstance(value, str) else 2 if isinstance(value, dict) else 3 if isinstance(value, (list, tuple)) else 0
    )


def _value(value: Any, joint: str, wording: Wording) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return wording.number(value)
    if isinstance(value, str):
        return clean_text(value, wording.longest_text) or "none"
    if isinstance(value, dict):
        items = (f"{_key(key, wording)} {_value(value[key], joint, wording)}" for key in sorted(value))
        return joint.join(items) or "none"
    if isinstance(value, (list, tuple)):
        return "; ".join(_value(item, joint, wording) for item in value) or "none"
    return clean_text(str(value), wording.longest_text)


def state_words(state: State) -> frozenset[str]:
    """Return the words of a state's text, in lower case."""
    return frozenset(_WORD.findall(render_state(state).lower()))


def state_fields(value: Mapping[str, Any], prefix: str = "") -> dict[str, float | str]:
    """Return a state's fields by their dotted names: numbers as numbers, everything else as text.

    A list gives its length, and of each item the text before the first colon.
    """
    fields: dict[str, float | str] = {}
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if isinstance(inner, Mapping):
            fields |= state_fields(inner, f"{name}.")
        elif isinstance(inner, (list, tuple)):
            fields[f"{name}.length"] = float(len(inner))
            fields |= {f"{name}.{place}={str(item).split(':')[0]}": 1.0 for place, item in enumerate(inner)}
        else:
            fields[name] = _number(inner) if isinstance(inner, (int, float)) else str(inner)
    return fields


def _number(value: float) -> float | str:
    try:
        return float(value)
    except OverflowError:  # a whole number of over 308 digits
        return str(value)
