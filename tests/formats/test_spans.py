"""OpenTelemetry spans of language models, as lines and as OTLP's JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aegis.formats import ANSWER, read_decisions

ASKED = [{"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]}]
CALLED = [
    {
        "role": "assistant",
        "parts": [{"type": "tool_call", "id": "call_V", "name": "get_weather", "arguments": {"location": "Paris"}}],
        "finish_reason": "tool_call",
    }
]
ATTRIBUTES: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4",
    "gen_ai.response.model": "gpt-4-0613",
    "gen_ai.system_instructions": [{"type": "text", "content": "You know the weather."}],
    "gen_ai.input.messages": ASKED,
    "gen_ai.output.messages": CALLED,
}


def span(**changes: Any) -> dict[str, Any]:
    """Return a span as the Python SDK prints it, with some attributes changed; None takes one away."""
    attributes = {
        key: value
        for key, value in {**ATTRIBUTES, **{f"gen_ai.{k}": v for k, v in changes.items()}}.items()
        if value is not None
    }
    return {
        "name": "chat gpt-4",
        "context": {"trace_id": "0x4bf92f", "span_id": "0x00f067"},
        "start_time": "2025-11-24T16:00:00.000000Z",
        "attributes": attributes,
    }


def otlp(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return an export with one span: attributes as a list, content as JSON text."""
    pairs = [
        {"key": key, "value": {"stringValue": value if isinstance(value, str) else json.dumps(value)}}
        for key, value in attributes.items()
    ]
    pairs.append({"key": "gen_ai.usage.input_tokens", "value": {"intValue": "47"}})
    one = {"traceId": "5b8efff7", "spanId": "eee1", "startTimeUnixNano": "1764000000000000000", "attributes": pairs}
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {}, "spans": [one]}]}]}


def test_a_span_with_a_tool_call_is_a_decision(read):
    reading, (decision,) = read(span())
    assert (reading.format, decision.action, decision.offered) == ("spans", "get_weather", ())
    assert decision.state == {"user": "Weather in Paris?", "system": "You know the weather."}
    assert (decision.teacher, decision.episode) == ("gpt-4-0613", "0x4bf92f")
    assert decision.at.isoformat() == "2025-11-24T16:00:00+00:00"


def test_an_otlp_export_holds_the_same_decision_in_a_line_and_as_a_whole_file(read):
    _, (line,) = read(otlp(ATTRIBUTES), otlp(ATTRIBUTES))[1], read(otlp(ATTRIBUTES))[1]
    reading, (whole,) = read(json.dumps(otlp(ATTRIBUTES), indent=2), name="traces.json")
    assert reading.format == "spans"
    assert line == whole
    assert (whole.action, whole.at.year, whole.episode) == ("get_weather", 2025, "5b8efff7")


def test_tools_and_agent_and_conversation_are_read_where_a_span_has_them(read):
    tools = [{"type": "function", "name": name, "description": ""} for name in ("get_weather", "get_time")]
    changes = {"tool.definitions": json.dumps(tools), "agent.name": "forecaster", "conversation.id": "c-1"}
    _, (decision,) = read(span(**changes))
    assert decision.offered == (ANSWER, "get_time", "get_weather")
    assert (decision.name, decision.episode) == ("forecaster", "c-1")


def test_typed_values_of_otlp_are_read_as_structure(read):
    text = {"key": "type", "value": {"stringValue": "text"}}
    content = {"key": "content", "value": {"stringValue": "Weather in Rome?"}}
    parts = {"arrayValue": {"values": [{"kvlistValue": {"values": [text, content]}}]}}
    role = {"key": "role", "value": {"stringValue": "user"}}
    message = {"kvlistValue": {"values": [role, {"key": "parts", "value": parts}]}}
    export = otlp({key: value for key, value in ATTRIBUTES.items() if key != "gen_ai.input.messages"})
    spans = export["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans[0]["attributes"].append({"key": "gen_ai.input.messages", "value": {"arrayValue": {"values": [message]}}})
    _, (decision,) = read(export)
    assert decision.state["user"] == "Weather in Rome?"


def test_the_answer_after_a_tools_result_is_an_answer_in_text(read):
    result = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_V", "response": "rainy, 57°F"}]}
    said = [{"role": "assistant", "parts": [{"type": "text", "content": "Rainy."}], "finish_reason": "stop"}]
    _, (decision,) = read(span(**{"input.messages": [*ASKED, *CALLED, result], "output.messages": said}))
    assert decision.action == ANSWER
    assert (decision.state["called"], decision.state["result"]) == (["get_weather"], "rainy, 57°F")


def test_spans_of_tools_and_of_other_programs_are_passed_over(read):
    other = {**span(), "attributes": {"http.request.method": "GET"}}
    reading, decisions = read(span(), other, span(**{"operation.name": "execute_tool"}))
    assert len(decisions) == 1
    assert reading.refused == 0
    assert set(reading.passed) == {
        "a span of something other than a language model",
        "a span of a tool, an agent or embeddings",
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"input.messages": None}, "gen_ai.input.messages: missing: switch on the recording of content"),
        ({"output.messages": '[{"role": "assi'}, "gen_ai.output.messages: expected a list of messages"),
        ({"tool.definitions": [{"type": "function"}]}, "gen_ai.tool.definitions: expected tools with names"),
    ],
)
def test_a_span_without_its_content_is_refused_with_line_and_reason(change, reason, read):
    reading, decisions = read(span(), span(**change))
    assert len(decisions) == 1
    assert reading.first_refused[0].position == "line 2"
    assert reason in reading.first_refused[0].reason


@pytest.mark.parametrize("spans", [True, 7, "spans", {"a": 1}, None])
def test_spans_that_are_no_list_end_no_reading(spans, tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [{"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}] * 2
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    reading = read_decisions(path)
    assert list(reading.decisions) == []
    assert reading.lines == 2


def test_the_words_of_an_answer_are_the_action_where_the_owner_says_so(read):
    said = [{"role": "assistant", "parts": [{"type": "text", "content": "Refund."}], "finish_reason": "stop"}]
    _, (named,) = read(span(**{"output.messages": said}), label=ANSWER)
    assert named.action == "Refund"
    assert read(span(**{"output.messages": said}))[1][0].action == ANSWER


def test_what_is_no_text_is_named_in_the_state(read):
    picture = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "iVBOR"}
    asked = [{"role": "user", "parts": [{"type": "text", "content": "What is this?"}, picture]}]
    _, (decision,) = read(span(**{"input.messages": asked}))
    assert decision.state == {"user": "What is this?\n[blob]", "system": "You know the weather."}
