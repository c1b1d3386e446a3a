"""Lines with Anthropic's messages."""

from __future__ import annotations

from typing import Any

from aegis.formats import ANSWER

TOOLS = [
    {"name": name, "description": "", "input_schema": {"type": "object", "properties": {}}}
    for name in ("search", "book")
]
CALLED = [
    {"type": "text", "text": "I look for flights."},
    {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"to": "Oslo"}},
]
LINE: dict[str, Any] = {
    "request": {
        "model": "claude-sonnet-4",
        "system": [{"type": "text", "text": "You book flights."}],
        "messages": [{"role": "user", "content": "To Oslo, please"}],
        "tools": TOOLS,
    },
    "response": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4",
        "stop_reason": "tool_use",
        "content": CALLED,
    },
}


def answered(content: list[Any], **request: Any) -> dict[str, Any]:
    """Return `LINE` with another answer and some fields of the request changed."""
    return {"request": {**LINE["request"], **request}, "response": {**LINE["response"], "content": content}}


def test_a_tool_that_is_used_is_the_action_among_those_on_offer(read):
    reading, (decision,) = read(LINE)
    assert (reading.format, decision.action) == ("anthropic", "search")
    assert decision.offered == (ANSWER, "book", "search")
    assert decision.state == {"user": "To Oslo, please", "system": "You book flights."}
    assert decision.teacher == "claude-sonnet-4"


def test_results_of_tools_are_not_taken_for_the_users_words(read):
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "SK 123, 9:05"}]}
    messages = [
        *LINE["request"]["messages"],
        {"role": "assistant", "content": CALLED},
        {"role": "user", "content": [result]},
    ]
    line = answered([{"type": "text", "text": "SK 123 leaves at 9:05."}], messages=messages)
    _, (decision,) = read(line)
    assert decision.action == ANSWER
    assert decision.state["user"] == "To Oslo, please"
    assert (decision.state["called"], decision.state["result"]) == (["search"], "SK 123, 9:05")


def test_several_tools_at_once_are_one_action(read):
    both = [{"type": "tool_use", "name": name, "input": {}} for name in ("search", "book", "search")]
    _, (decision,) = read(answered(both))
    assert decision.action == "book+search"


def test_a_forced_tool_with_an_enum_is_a_structured_output(read):
    tool = {"name": "route", "input_schema": {"properties": {"team": {"enum": ["a", "b"]}}}}
    used = [{"type": "tool_use", "name": "route", "input": {"team": "b"}}]
    _, (decision,) = read(answered(used, tools=[tool], tool_choice={"type": "tool", "name": "route"}))
    assert (decision.name, decision.action, decision.offered) == ("route.team", "b", ("a", "b"))


def test_a_conversation_without_a_response_has_a_decision_for_each_message_of_the_assistant(read):
    messages = [*LINE["request"]["messages"], {"role": "assistant", "content": CALLED}]
    reading, (decision,) = read({**LINE["request"], "messages": messages})
    assert (reading.format, decision.action) == ("anthropic", "search")


def test_what_is_out_of_form_is_refused_with_line_and_reason(read):
    bad = [
        (answered([{"type": "tool_use", "input": {}}]), "tool_use: expected the tool's name"),
        (answered([{"type": "tool_use", "name": "fly", "input": {}}]), "calls the tool 'fly'"),
        ({**LINE, "response": {"error": {"type": "overloaded", "message": "try again"}}}, "response.error: try again"),
        ({**LINE, "response": {"content": "text"}}, "response.content: expected a list of blocks"),
    ]
    reading, decisions = read(LINE, *(line for line, _ in bad))
    assert len(decisions) == 1
    for place, (refused, (_, reason)) in enumerate(zip(reading.first_refused, bad, strict=True), start=2):
        assert refused.position == f"line {place}"
        assert reason in refused.reason


def test_the_words_of_an_answer_are_the_action_where_the_owner_says_so(read):
    asked = {"system": "One word.", "messages": [{"role": "user", "content": "Broken"}]}
    line = {"request": asked, "response": {"content": [{"type": "text", "text": "refund"}]}}
    reading, decisions = read(line, label="answer_in_text")
    assert (reading.format, [one.action for one in decisions]) == ("anthropic", ["refund"])
