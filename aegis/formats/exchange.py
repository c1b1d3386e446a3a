"""One request to a language model and its answer, in whoever's shape they were logged, and the decisions in them.

A decision is which tool the model called, or that it called none; or the value of an enum, in a structured output or in
the arguments of a tool that the request forced.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aegis.errors import DataError
from aegis.formats.record import ANSWER, TOGETHER, LoggedDecision, NoDecision, bounded
from aegis.rendering import MEDIA

EARLIER_TURNS = 8
"""How many turns before the last message of the user a state shows."""
_EARLIER_CHARACTERS = 300
_TEXT_FIELDS = ("text", "content", "response", "result", "refusal")
_READ = {
    *("text", "input_text", "output_text", "summary_text", "refusal", "thinking", "redacted_thinking", "reasoning"),
    *("tool_use", "tool_result", "tool_call", "tool_call_response", "server_tool_call_response"),
}
"""Types of parts that hold nothing but text, thoughts, or calls and results of tools"""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the model called."""

    name: str
    arguments: Any = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: `user`, `assistant` or `tool`, its text, and the tools that it calls."""

    role: str
    text: str = ""
    calls: tuple[Call, ...] = ()


_NAME_CHARACTERS = 60
_AROUND_A_NAME = " \t\"'`*."


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer."""

    turns: Sequence[Turn]
    """The messages before the answer, without the system's."""
    answer: Turn
    system: str = ""
    tools: Mapping[str, Any] | None = None
    """By name the JSON schema of the arguments; None where the log does not say what was on offer."""
    forced: str = ""
    """The tool that the request demanded; '' where the model was free."""
    may_answer: bool = True
    """Whether the model might answer without a tool."""
    schema: Any = None
    """The JSON schema of a structured output."""
    schema_name: str = ""
    name: str = ""
    episode: str = ""
    at: datetime | None = None
    teacher: str = ""
    id: str = ""
    reward: Any = None
    whole: bool = False
    """Whether the state is whole: every turn, and every text to its end."""
    unread: Sequence[str] = ()
    """The types of the request's parts that are no text: the state only names them, so whoever sees them decides."""
    named_in_text: bool = False
    """Whether an answer's words are the action's name, where the model could neither call a tool nor fill a form."""


def decisions_of(exchange: Exchange) -> list[LoggedDecision]:
    """Return the decisions in an exchange.

    Raises `NoDecision` for free text, `DataError` for an answer that contradicts its request.
    """
    if exchange.forced:
        calls = [call for call in exchange.answer.calls if call.name == exchange.forced]
        if not calls:
            raise DataError(f"the request demands the tool {exchange.forced!r}, and the answer does not call it")
        schema = (exchange.tools or {}).get(exchange.forced)
        return _enum_decisions(exchange, schema, calls[0].arguments, exchange.forced)
    if exchange.named_in_text and not (exchange.answer.calls or exchange.tools or exchange.schema is not None):
        return [_logged(exchange, _name_in(exchange.answer.text), (), exchange.name)]
    if exchange.answer.calls or exchange.tools or exchange.tools is None:
        return [_tool_decision(exchange)]
    if exchange.schema is not None:
        return _enum_decisions(exchange, exchange.schema, exchange.answer.text, exchange.schema_name or "output")
    raise NoDecision(
        f"an answer in free text, with no tools on offer (--label {ANSWER} takes its words for the action)"
    )


def _name_in(text: str) -> str:
    """Return the name of the action that an answer consists of, without quotes and a full stop around it."""
    name = text.strip().strip(_AROUND_A_NAME)
    if not name or "\n" in name or len(name) > _NAME_CHARACTERS:
        raise DataError(
            f"the answer is to name the action (--label {ANSWER}): expected one line of at most {_NAME_CHARACTERS}"
            f" characters, found {bounded(text, 80)!r}"
        )
    return name


def _tool_decision(exchange: Exchange) -> LoggedDecision:
    called = list(dict.fromkeys(call.name for call in exchange.answer.calls))
    offered: tuple[str, ...] = ()
    if exchange.tools is not None:
        if strange := [name for name in called if name not in exchange.tools]:
            raise DataError(f"the answer calls the tool {strange[0]!r}, which the request does not offer")
        offered = tuple(sorted([*exchange.tools, *([ANSWER] if exchange.may_answer or not called else [])]))
    action = TOGETHER.join(sorted(called)) or ANSWER
    return _logged(exchange, action, offered, exchange.name)


def _enum_decisions(exchange: Exchange, schema: Any, answer: Any, name: str) -> list[LoggedDecision]:
    enums = {key: tuple(map(str, values)) for key, values in enums_of(schema).items()}
    if not enums:
        raise NoDecision("a structured output in which no field is an enum")
    values = parse_json(answer)
    if "" in enums:
        values = {"": values}
    if not isinstance(values, Mapping):
        raise DataError("the structured output is no JSON object (a refusal, or cut off)")
    found = []
    for key, offered in enums.items():
        if key not in values:
            continue
        value = str(values[key])
        if value not in offered:
            raise DataError(f"{key}: {value!r} is not in the schema's enum ({', '.join(offered[:10])})")
        where = exchange.name or (f"{name}.{key}" if key else name)
        where += f".{key}" if exchange.name and len(enums) > 1 else ""
        found.append(_logged(exchange, value, tuple(sorted(set(offered))), where))
    if not found:
        raise NoDecision("a structured output without its enum fields")
    return found


def enums_of(schema: Any) -> dict[str, list[Any]]:
    """Return the enums of a JSON schema by property; '' for a schema that is an enum itself."""
    if not isinstance(schema, Mapping):
        return {}
    if isinstance(schema.get("enum"), list):
        return {"": schema["enum"]}
    properties = schema.get("properties")
    return {
        key: inner["enum"]
        for key, inner in (properties.items() if isinstance(properties, Mapping) else ())
        if isinstance(inner, Mapping) and isinstance(inner.get("enum"), list)
    }


def _logged(exchange: Exchange, action: str, offered: tuple[str, ...], name: str) -> LoggedDecision:
    # Many lines repeat the same long system prompt: keep it once.
    system = sys.intern(exchange.system if exchange.whole else bounded(exchange.system))
    return LoggedDecision(
        state=state_of(exchange.turns, system, exchange.whole),
        action=action,
        offered=offered,
        name=name,
        system=system,
        episode=exchange.episode or conversation_of(exchange.turns, system),
        at=exchange.at,
        teacher=exchange.teacher,
        chat=True,
        id=exchange.id,
        reward=exchange.reward,
    )


def state_of(turns: Sequence[Turn], system: str, whole: bool = False) -> dict[str, Any]:
    """Return what the model saw: the user's last message, what was called and found since, and the turns before.

    whole: no turn is left out, and no text is cut.
    """
    cut: Callable[..., str] = _uncut if whole else bounded
    last = max((place for place, turn in enumerate(turns) if turn.role == "user"), default=-1)
    since, before = turns[last + 1 :], turns[: max(last, 0)]
    state: dict[str, Any] = {"user": cut(turns[last].text) if last >= 0 else ""}
    if called := [call.name for turn in since for call in turn.calls]:
        state["called"] = called
    if results := [turn.text for turn in since if turn.role == "tool"]:
        state["result"] = cut(results[-1])
    if earlier := before if whole else before[-EARLIER_TURNS:]:
        state["earlier"] = [cut(_line(turn), _EARLIER_CHARACTERS) for turn in earlier]
    if system:
        state["system"] = system
    return state


def _line(turn: Turn) -> str:
    called = f" calls {', '.join(call.name for call in turn.calls)}" if turn.calls else ""
    return f"{turn.role}{called}: {turn.text}"


def _uncut(text: str, limit: int = 0) -> str:
    return text


def conversation_of(turns: Sequence[Turn], system: str) -> str:
    """Return an id of the conversation: requests that begin with the same message of the user are taken for one."""
    first = next((turn.text for turn in turns if turn.role == "user"), "")
    return hashlib.blake2b(f"{system}\n{first}".encode("utf-8", "replace"), digest_size=12).hexdigest()


def parse_json(value: Any) -> Any:
    """Return JSON text as its value, None where it is none, and anything that is not text as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def text_of(content: Any, marks: bool = False) -> str:
    """Return the text of a message's content: a string, or a list of parts of which some have text.

    marks: name a part that is no text by its type in brackets (`[image_url]`), as a state does; else leave it out.
    """
    if isinstance(content, str):
        return content
    parts = []
    for part in _parts(content):
        if isinstance(part, str):
            parts.append(part)
        elif kind := _unread(part):
            parts.append(f"[{kind}]" if marks else "")
        else:
            inner = _inner(part)
            text = inner if isinstance(inner, str) else "" if inner is None else text_of(inner, marks) or str(inner)
            parts.append(text)
    return "\n".join(filter(None, parts))


def unread_in(contents: Iterable[Any]) -> tuple[str, ...]:
    """Return the types of the parts that are no text in some messages' contents, each once."""
    return tuple(dict.fromkeys(kind for content in contents for kind in _unread_parts(content)))


def _unread_parts(content: Any) -> Iterator[str]:
    for part in _parts(content):
        if isinstance(part, Mapping):
            if kind := _unread(part):
                yield kind
            elif isinstance(inner := _inner(part), list):
                yield from _unread_parts(inner)


def _parts(content: Any) -> list[Any]:
    given = [content] if isinstance(content, Mapping) else content
    return [part for part in given if isinstance(part, (str, Mapping))] if isinstance(given, list) else []


def _inner(part: Mapping[str, Any]) -> Any:
    """Return what a part says; None where it has no text."""
    return next((part[key] for key in _TEXT_FIELDS if part.get(key)), None)


def _unread(part: Mapping[str, Any]) -> str:
    """Return the type of a part that is no text; '' for all others."""
    kind = str(part.get("type", ""))
    return kind if kind in MEDIA or (kind not in _READ and _inner(part) is None) else ""
