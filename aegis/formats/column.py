"""What the fields of a flat record are used for: its time, its episode, its id. All others are its state.

A flat record is a row of a table, or an example without `input`. A name alone proves nothing: a column `time` may hold
durations. So the values count, too, and whoever reads a file hears what was left out of the state, and for what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aegis.errors import DataError
from aegis.formats.record import (
    EPISODE_FIELDS,
    MOMENT_FIELDS,
    NAME_FIELDS,
    REWARD_FIELDS,
    TEACHER_FIELDS,
    Fields,
    bounded,
    parse_moment,
)

OFFERED_FIELDS = ("actions", "options", "labels")
LOOKED_AT = 2000
"""Records at the beginning of a file whose values tell what a column is used for"""
_MAYBE_TEXT = ("conversation", "session")
"""Names of an episode that may be called so for what was said in it"""
_ID_CHARACTERS = 200
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Uses:
    """Names of fields by what they are used for. As it stands: of a record that has its state in a field of its own."""

    moment: Sequence[str] = MOMENT_FIELDS
    episode: Sequence[str] = EPISODE_FIELDS
    teacher: Sequence[str] = TEACHER_FIELDS
    name: Sequence[str] = NAME_FIELDS
    id: Sequence[str] = ("id",)
    reward: Sequence[str] = REWARD_FIELDS
    offered: Sequence[str] = OFFERED_FIELDS
    beside: Mapping[str, str] = field(default_factory=dict)
    """The fields of a flat record that are no part of its state, with what each is used for"""


def uses_beside_input(fields: Fields) -> Uses:
    """Return what the fields beside a record's own `input` or `state` are used for: there, the names count."""
    return Uses(
        episode=(fields.episode,) if fields.episode else EPISODE_FIELDS,
        teacher=(fields.teacher,) if fields.teacher else TEACHER_FIELDS,
        reward=fields.rewards,
    )


def find_uses(names: Sequence[str], values: Callable[[str], list[Any]], label: str, fields: Fields) -> Uses:
    """Return what the fields of flat records are used for.

    names: of all fields. values: returns those of a field that are filled, in the first records.
    """
    free = [name for name in names if name != label and name not in fields.keep]
    times = [name for name in MOMENT_FIELDS if name in free and _hold_moments(values(name))]
    episodes = [name for name in EPISODE_FIELDS if name in free and _are_ids(name, values(name))]
    if fields.episode:
        episodes = [fields.episode, *(name for name in episodes if name != fields.episode)]
    rewards = [*dict.fromkeys(name for name in (fields.reward, *REWARD_FIELDS) if name in free)]
    offered = [name for name in OFFERED_FIELDS if name in free and _are_lists(values(name))]
    teachers = [fields.teacher] if fields.teacher else []
    ids = [name for name in ("id",) if name in free]
    found = {"time": times, "episode": episodes, "teacher": teachers, "reward": rewards, "id": ids}
    beside: dict[str, str] = {}
    for use, given in found.items():
        for place, name in enumerate(given):
            beside.setdefault(name, use if place == 0 else f"another {use}")
    beside |= dict.fromkeys(offered, "actions on offer")
    if "probabilities" in free:
        beside["probabilities"] = "the teacher's"
    one = {use: tuple(given[:1]) for use, given in found.items()}
    paid = tuple(name for name in fields.rewards if name not in fields.keep)
    return Uses(one["time"], one["episode"], one["teacher"], (), one["id"], paid, tuple(offered), beside)


def describe_uses(uses: Uses, names: Sequence[str], values: Callable[[str], list[Any]], fields: Fields) -> list[str]:
    """Return what a person should know of it: what is left out of the state, and what stays in it against its name."""
    lines = []
    if uses.beside:
        left = ", ".join(f"{name} = {uses.beside[name]}" for name in names if name in uses.beside)
        lines.append(f"not in the state: {left} (--keep NAME keeps a field in it)")
    stays = [name for name in names if name not in uses.beside and name not in fields.keep]
    for name in stays:
        if name in MOMENT_FIELDS and (given := values(name)):
            lines.append(f"{name} stays in the state: {_unread_of(given)} is no time that can be read ({_READ})")
        if name in TEACHER_FIELDS:
            lines.append(f"{name} stays in the state (--teacher-field {name} if it says who decided)")
    for name in uses.moment:
        if odd := [one for one in values(name) if parse_moment(one) is None]:
            lines.append(f"{name}: {_shown(odd[0])} is no time that can be read ({_READ}): such rows keep their place")
    return lines


_READ = "read are 2026-03-01T08:16:00+00:00, and seconds or milliseconds since 1970"


def check_named(names: Sequence[str], fields: Fields) -> None:
    """Raise `DataError` where an option names a column that is not there."""
    for option, name in named_in(fields):
        if name not in names:
            raise DataError(f"{option} {name}: no such column; there are {', '.join(names)}")


def named_in(fields: Fields) -> list[tuple[str, str]]:
    """Return each option that names a field beside the action, and the field."""
    given = [("--episode", fields.episode), ("--reward", fields.reward), ("--teacher-field", fields.teacher)]
    return [(option, name) for option, name in [*given, *(("--keep", name) for name in fields.keep)] if name]


def _hold_moments(filled: Sequence[Any]) -> bool:
    """Tell whether a column holds moments: most of its values are some, and no number in it but 0 is none."""
    moments = [parse_moment(value) for value in filled]
    odd = any(moment is None and _is_number(value) for moment, value in zip(moments, filled, strict=True))
    return not odd and 2 * sum(moment is not None for moment in moments) > len(filled)


def _is_number(value: Any) -> bool:
    """Tell whether this is a number other than 0, which stands for none in many columns of seconds."""
    try:
        return float(value) != 0
    except (TypeError, ValueError):
        return False


def _are_ids(name: str, filled: Sequence[Any]) -> bool:
    if name not in _MAYBE_TEXT:
        return True
    texts = [str(value) for value in filled if isinstance(value, (str, int))]
    return len(texts) == len(filled) and all(len(text) <= _ID_CHARACTERS and len(text.split()) <= 1 for text in texts)


def _are_lists(filled: Sequence[Any]) -> bool:
    return bool(filled) and all(isinstance(value, list) for value in filled)


def _unread_of(filled: Sequence[Any]) -> str:
    return _shown(next((value for value in filled if parse_moment(value) is None), filled[0]))


def _shown(value: Any) -> str:
    return bounded(repr(value), _SHOWN_CHARACTERS)
