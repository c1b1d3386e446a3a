"""OpenTelemetry spans of language models, by the semantic conventions for generative AI.

One span a line, or OTLP's JSON (`resourceSpans`), in lines or as a whole file. Read are the attributes
`gen_ai.input.messages`, `gen_ai.output.messages`, `gen_ai.system_instructions`, `gen_ai.tool.definitions`,
`gen_ai.conversation.id`, `gen_ai.agent.name` and the model's name; the content as structure or as JSON text.
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aegis.errors import DataError
from aegis.formats.exchange import Call, Exchange, Turn, decisions_of, parse_json, text_of, unread_in
from aegis.formats.openai import SYSTEM_ROLES
from aegis.formats.record import ANSWER, Fields, LoggedDecision, NoDecision, first_text, parse_moment, reward_of

_PREFIX = "gen_ai."
_MODELS = ("gen_ai.response.model", "gen_ai.request.model")
_MODEL_OPERATIONS = frozenset({"", "chat", "generate_content", "text_completion"})
_RESULT_TYPES = frozenset({"tool_call_response", "server_tool_call_response"})
_NO_WORDS = _RESULT_TYPES | {"tool_call", "server_tool_call", "reasoning"}


def is_spans(value: Any) -> bool:
    """Tell whether a parsed line is OTLP's JSON or a span with attributes."""
    if not isinstance(value, Mapping):
        return False
    if "resourceSpans" in value or "resource_spans" in value:
        return True
    marks = {"traceId", "trace_id", "spanId", "span_id", "context", "parent_id", "start_time", "startTimeUnixNano"}
    return isinstance(value.get("attributes"), (Mapping, list)) and bool(marks & set(value))


def spans_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each span of a parsed line, with where in it the span lies: '' for a line that is one span."""
    resources = value.get("resourceSpans", value.get("resource_spans")) if isinstance(value, Mapping) else None
    if resources is None:
        yield "", value
        return
    number = 0
    for resource in resources if isinstance(resources, list) else ():
        scopes = resource.get("scopeSpans", resource.get("scope_spans")) if isinstance(resource, Mapping) else None
        for scope in scopes if isinstance(scopes, list) else ():
            spans = scope.get("spans") if isinstance(scope, Mapping) else None
            for span in spans if isinstance(spans, list) else ():
                yield f"span {number}", span
                number += 1


def parse(span: Any, fields: Fields) -> list[LoggedDecision]:
    """Return the decisions of one span."""
    if not isinstance(span, Mapping):
        raise DataError("expected a span, an object with attributes")
    attributes = attributes_of(span.get("attributes"))
    if not any(key.startswith(_PREFIX) for key in attributes):
        raise NoDecision("a span of something other than a language model")
    if str(attributes.get("gen_ai.operation.name", "")) not in _MODEL_OPERATIONS:
        raise NoDecision("a span of a tool, an agent or embeddings")
    received, sent = (_messages(attributes, f"gen_ai.{side}.messages") for side in ("input", "output"))
    if len(sent) != 1:
        raise NoDecision(f"a span with {len(sent)} answers")
    turns = [turn for message in received for turn in _turns(message, marks=True)]
    said = [turn for turn in turns if turn.role not in SYSTEM_ROLES]
    instructions = [text_of(attributes.get("gen_ai.system_instructions"))]
    instructions += [turn.text for turn in turns if turn.role in SYSTEM_ROLES]
    system = "\n".join(filter(None, instructions))
    answers = _turns({**sent[0], "role": "assistant"})
    return decisions_of(
        Exchange(
            turns=said,
            answer=answers[-1],
            system=system,
            tools=_tools(attributes),
            name=str(attributes.get("gen_ai.agent.name", "")),
            episode=_episode(span, attributes, fields),
            at=parse_moment(span.get("startTimeUnixNano", span.get("start_time", span.get("startTime")))),
            teacher=first_text([attributes], (fields.teacher,) if fields.teacher else _MODELS),
            id=first_text([span, span.get("context")], ("spanId", "span_id")),
            reward=reward_of([attributes], fields.rewards),
            whole=fields.whole,
            unread=unread_in(message.get("parts") for message in received),
            named_in_text=fields.label == ANSWER,
        )
    )


def attributes_of(given: Any) -> dict[str, Any]:
    """Return a span's attributes as a mapping; OTLP has them as a list of keys with typed values."""
    if isinstance(given, Mapping):
        return {str(key): value for key, value in given.items()}
    pairs = given if isinstance(given, list) else ()
    return {
        str(pair["key"]): _plain(pair.get("value")) for pair in pairs if isinstance(pair, Mapping) and "key" in pair
    }


def _plain(value: Any) -> Any:
    """Return one of OTLP's typed values as what it holds."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    if kind == "arrayValue":
        values = inner.get("values", ()) if isinstance(inner, Mapping) else ()
        return [_plain(one) for one in values]
    if kind == "kvlistValue":
        return attributes_of(inner.get("values") if isinstance(inner, Mapping) else None)
    if kind == "intValue":
        return int(inner)
    return inner


def _messages(attributes: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    if key not in attributes:
        raise DataError(f"{key}: missing: switch on the recording of content in your instrumentation")
    messages = parse_json(attributes[key])
    if not isinstance(messages, list) or not all(isinstance(one, Mapping) for one in messages):
        raise DataError(f"{key}: expected a list of messages, as structure or as JSON text (cut off?)")
    return messages


def _turns(message: Mapping[str, Any], marks: bool = False) -> list[Turn]:
    role = str(message.get("role", "user"))
    parts = [part for part in message.get("parts") or () if isinstance(part, Mapping)]
    results = [Turn("tool", text_of([part])) for part in parts if part.get("type") in _RESULT_TYPES]
    calls = []
    for part in parts:
        if part.get("type") == "tool_call":
            if not isinstance(part.get("name"), str):
                raise DataError("tool_call: expected the tool's name")
            calls.append(Call(part["name"], parse_json(part.get("arguments"))))
    said = [one for one in parts if one.get("type") == "text" or (marks and one.get("type") not in _NO_WORDS)]
    text = text_of(said, marks)
    if results and not text and not calls:
        return results
    return [*results, Turn(role, text, tuple(calls))]


def _tools(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    given = parse_json(attributes.get("gen_ai.tool.definitions"))
    if not isinstance(given, list):
        return None
    found = {}
    for tool in given:
        inner = parse_json(tool)
        function = inner.get("function", inner) if isinstance(inner, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise DataError("gen_ai.tool.definitions: expected tools with names")
        found[function["name"]] = function.get("parameters")
    return found


def _episode(span: Mapping[str, Any], attributes: Mapping[str, Any], fields: Fields) -> str:
    if fields.episode:
        return first_text([attributes, span], (fields.episode,))
    context = span.get("context")
    return first_text([attributes], ("gen_ai.conversation.id", "session.id")) or first_text(
        [span, context], ("traceId", "trace_id")
    )
