"""One decision as a file shows it, and what all readers share: names of fields, moments, bounded text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aegis.errors import DataError
from aegis.rendering import write_number

ANSWER = "answer_in_text"
"""The action of a language model that had tools on offer and called none."""
TOGETHER = "+"
"""Stands between the names of tools that were called at once: they are one action."""

TEXT_CHARACTERS = 2000
"""A longer text loses its middle where `Fields.whole` is off: a scan reads states by the ten thousand."""
EPISODE_FIELDS = ("episode", "conversation_id", "session_id", "thread_id", "conversation", "session", "trace_id")
MOMENT_FIELDS = ("timestamp", "time", "created_at", "created", "decided_at", "date")
TEACHER_FIELDS = ("teacher", "policy", "model")
NAME_FIELDS = ("point", "decision_point", "name")
REWARD_FIELDS = ("reward",)
_EARLIEST, _LATEST = 946_684_800, 4_102_444_800
"""The years 2000 and 2100 in seconds since 1970. A number outside of them is no moment: a column `time` may hold 18."""


_NUMERAL = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


class NoDecision(DataError):
    """What a line holds is in form, and nothing in it is a decision; the message says what it is instead."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Names of fields that the owner of a file gives; '' where a reader looks for itself."""

    label: str = ""
    """The field or column with the action taken; `ANSWER` where the words of a chat's answer are the action."""
    episode: str = ""
    """The field or column with the conversation, task or user that a decision belongs to."""
    reward: str = ""
    """The field or column with what the decision brought."""
    teacher: str = ""
    """The field or column with who decided."""
    keep: tuple[str, ...] = ()
    """Fields or columns of a flat record that are part of its state, whatever their names say."""
    whole: bool = False
    """Whether states are whole: no text loses its middle, and no turn of a chat is left out."""

    @property
    def rewards(self) -> tuple[str, ...]:
        """Names of the field with the reward."""
        return (self.reward,) if self.reward else REWARD_FIELDS


@dataclass(frozen=True, slots=True)
class Item:
    """A parsed value and where it stood, or the reason why there is none."""

    position: str
    value: Any = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """A state, the action taken in it, and what else the file says."""

    state: Mapping[str, Any]
    action: str
    offered: tuple[str, ...] = ()
    """Names on offer, sorted; empty where the file does not say."""
    name: str = ""
    """Of the decision point; '' where the file does not say."""
    system: str = ""
    """The system prompt; '' where there is none."""
    episode: str = ""
    """The conversation, task or user; '' where the file does not say."""
    at: datetime | None = None
    teacher: str = ""
    """Who decided: a model's name, as a rule."""
    chat: bool = False
    """Whether it is an answer in a chat, whose tools on offer tell decision points apart."""
    id: str = ""
    """The file's own name of the decision; '' where it has none."""
    reward: Any = None
    """What the decision brought, as the file has it; None where the file does not say."""
    probabilities: Mapping[str, Any] | None = None
    """The teacher's probabilities by action, as the file has them."""
    position: str = field(default="", compare=False)
    """The line or item of the file."""


def first_text(sources: Iterable[Any], names: Iterable[str]) -> str:
    """Return the first of these fields that holds text or a number, in the first source that has one; '' if none."""
    names = tuple(names)
    for source in sources:
        for name in names if isinstance(source, Mapping) else ():
            value = source.get(name)
            if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
                return str(value)
    return ""


def reward_of(sources: Iterable[Any], names: Sequence[str]) -> Any:
    """Return what the first source with a reward says of it, or None."""
    for source in sources:
        for name in names if isinstance(source, Mapping) else ():
            if source.get(name) not in (None, ""):
                return source[name]
    return None


def moment_of(sources: Iterable[Any], names: Sequence[str] = MOMENT_FIELDS) -> datetime | None:
    """Return the first moment that these sources name."""
    for source in sources:
        for name in names if isinstance(source, Mapping) else ():
            if (moment := parse_moment(source.get(name))) is not None:
                return moment
    return None


def parse_moment(value: Any) -> datetime | None:
    """Return ISO 8601 text, or seconds, milliseconds or nanoseconds since 1970, as a moment; None for anything else.

    A number counts where it lies in the years 2000 to 2100.
    """
    if isinstance(value, str) and not _NUMERAL.fullmatch(value.strip()):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    while math.isfinite(seconds) and seconds > _LATEST:
        seconds /= 1000
    return datetime.fromtimestamp(seconds, UTC) if _EARLIEST <= seconds <= _LATEST else None


def bounded(text: str, limit: int = TEXT_CHARACTERS) -> str:
    """Return the text, without its middle where it is longer than the limit."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} … {text[-half:]}"


def label_of(value: Any, where: str) -> str:
    """Return the name of an action: text, a number, or true or false; raises `DataError` for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return write_number(value) if isinstance(value, float) else str(value)
    if isinstance(value, str) and value.strip():
        return value.strip()
    found = repr(value) if value not in (None, "") else "nothing"
    raise DataError(f"{where}: expected the name of an action, found {found}")
