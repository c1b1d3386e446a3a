"""Lines with OpenAI's chat completions."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from aegis.formats import ANSWER

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("refund", "escalate")
]
ASKED: list[dict[str, Any]] = [
    {"role": "system", "content": "You help customers."},
    {"role": "user", "content": "My order 17 never came."},
]
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "refund", "arguments": '{"order": 17}'}}],
}
LINE: dict[str, Any] = {
    "request": {"model": "gpt-4o", "messages": ASKED, "tools": TOOLS},
    "response": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": CALLED}],
    },
}
TICKET = {
    "type": "json_schema",
    "json_schema": {
        "name": "ticket",
        "schema": {
            "type": "object",
            "properties": {
                "team": {"type": "string", "enum": ["billing", "delivery"]},
                "urgency": {"type": "string", "enum": ["low", "high"]},
                "summary": {"type": "string"},
            },
        },
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return `LINE` with one field changed."""
    line = copy.deepcopy(LINE)
    *way, last = path.split(".")
    inner: Any = line
    for key in way:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[last] = value
    return line


def test_a_tool_that_is_called_is_the_action_among_those_on_offer(read):
    reading, (decision,) = read(LINE)
    assert (reading.format, decision.action) == ("openai", "refund")
    assert decision.offered == (ANSWER, "escalate", "refund")
    assert decision.state == {"user": "My order 17 never came.", "system": "You help customers."}
    assert decision.teacher == "gpt-4o-2024-08-06"
    assert decision.at.year == 2025


def test_an_answer_in_text_is_an_action_where_tools_are_on_offer(read):
    said = {"role": "assistant", "content": "It is on its way."}
    _, (decision,) = read(changed("response.choices", [{"message": said}]))
    assert decision.action == ANSWER


def test_where_a_tool_is_required_there_is_no_answer_in_text_on_offer(read):
    _, (decision,) = read(changed("request.tool_choice", "required"))
    assert decision.offered == ("escalate", "refund")


def test_an_answer_in_text_without_tools_is_passed_over(read):
    line = changed("request.tools", [])
    line["response"]["choices"][0]["message"] = {"role": "assistant", "content": "Hello!"}
    reading, decisions = read(LINE, line)
    assert len(decisions) == 1
    assert reading.refused == 0
    said = "an answer in free text, with no tools on offer (--label answer_in_text takes its words for the action)"
    assert reading.passed == {said: 1}


@pytest.mark.parametrize("text", ["refund", " refund.\n", '"refund"', "`refund`"])
def test_the_words_of_an_answer_are_the_action_where_the_owner_says_so(read, text):
    line = changed("request.tools", [])
    line["response"]["choices"][0]["message"] = {"role": "assistant", "content": text}
    _, (named, called) = read(line, LINE, label=ANSWER)
    assert (named.action, named.offered) == ("refund", ())
    assert called.action == read(LINE)[1][0].action  # a tool that was called is the action as before


@pytest.mark.parametrize("text", ["I would\nrefund it", "x" * 61, "", ' ". '])
def test_an_answer_that_can_be_no_name_is_refused_there(read, text):
    line = changed("request.tools", [])
    line["response"]["choices"][0]["message"] = {"role": "assistant", "content": text}
    reading, decisions = read(line, label=ANSWER)
    assert (decisions, reading.refused) == ([], 1)
    assert "one line of at most 60 characters" in reading.first_refused[0].reason


def test_each_enum_of_a_structured_output_is_a_decision_point_of_its_own(read):
    line = changed("request", {"messages": ASKED, "response_format": TICKET})
    said = {"role": "assistant", "content": '{"team": "delivery", "urgency": "high", "summary": "lost"}'}
    line["response"]["choices"] = [{"message": said}]
    _, decisions = read(line)
    assert [(one.name, one.action) for one in decisions] == [("ticket.team", "delivery"), ("ticket.urgency", "high")]
    assert decisions[0].offered == ("billing", "delivery")


def test_a_structured_output_outside_its_enum_is_refused_with_line_and_reason(read):
    line = changed("request", {"messages": ASKED, "response_format": TICKET})
    line["response"]["choices"] = [{"message": {"role": "assistant", "content": '{"team": "sales"}'}}]
    reading, _ = read(LINE, line)
    assert reading.first_refused[0].position == "line 2"
    assert "team: 'sales' is not in the schema's enum" in reading.first_refused[0].reason


def test_a_forced_tool_with_an_enum_is_a_structured_output(read):
    tool = {
        "type": "function",
        "function": {"name": "route", "parameters": {"properties": {"team": {"enum": ["billing", "delivery"]}}}},
    }
    line = changed("request.tools", [tool])
    line["request"]["tool_choice"] = {"type": "function", "function": {"name": "route"}}
    call = {"function": {"name": "route", "arguments": '{"team": "billing"}'}}
    line["response"]["choices"] = [{"message": {"role": "assistant", "tool_calls": [call]}}]
    _, (decision,) = read(line)
    assert (decision.name, decision.action) == ("route.team", "billing")


def test_a_conversation_as_for_fine_tuning_has_a_decision_for_each_message_of_the_assistant(read):
    result = {"role": "tool", "tool_call_id": "call_1", "content": "refunded"}
    said = {"role": "assistant", "content": "You get your money back."}
    reading, decisions = read({"messages": [*ASKED, CALLED, result, said], "tools": TOOLS})
    assert reading.format == "openai"
    assert [one.action for one in decisions] == ["refund", ANSWER]
    assert (decisions[1].state["called"], decisions[1].state["result"]) == (["refund"], "refunded")
    assert decisions[0].episode == decisions[1].episode


def test_the_bodies_of_a_batch_and_both_halves_in_one_object_are_read(read):
    batch = {"custom_id": "1", "request": {"body": LINE["request"]}, "response": {"body": LINE["response"]}}
    flat = {**LINE["request"], **LINE["response"]}
    _, decisions = read(batch, flat)
    assert [one.action for one in decisions] == ["refund", "refund"]


def test_requests_of_one_conversation_share_an_episode_and_a_named_one_goes_first(read):
    later = copy.deepcopy(LINE)
    later["request"]["messages"] += [CALLED, {"role": "tool", "content": "done"}]
    other = changed("request.messages", [{"role": "user", "content": "Hi"}])
    named = changed("request.metadata", {"conversation_id": "c-9"})
    _, (one, two, three, four) = read(LINE, later, other, named)
    assert one.episode == two.episode != three.episode
    assert four.episode == "c-9"


def test_what_contradicts_itself_or_is_out_of_form_is_refused_and_the_rest_is_used(read):
    strange = {"role": "assistant", "tool_calls": [{"function": {"name": "dance", "arguments": "{}"}}]}
    bad = [
        (changed("response.choices", [{"message": strange}]), "calls the tool 'dance', which the request does not"),
        (changed("response.choices", []), "response.choices: expected a list"),
        (changed("request.messages", "Hello"), "messages: expected a list of messages"),
        (changed("request.messages", [{"content": "x"}]), "messages[0]: expected an object with a role"),
        (changed("request.tools", [{"type": "function"}]), "tools: expected a function with a name"),
        (17, "expected an object"),
    ]
    reading, decisions = read(LINE, *(line for line, _ in bad), LINE)
    assert len(decisions) == 2
    assert reading.refused == len(bad)
    for place, (refused, (_, reason)) in enumerate(zip(reading.first_refused, bad, strict=True), start=2):
        assert refused.position == f"line {place}"
        assert reason in refused.reason


def test_an_answer_beside_tools_and_a_structured_output_are_read_as_ever_where_words_are_actions(read):
    said = {"role": "assistant", "content": "Sure."}
    _, (beside,) = read(changed("response.choices", [{"message": said}]), label=ANSWER)
    assert beside.action == ANSWER
    line = changed("request", {"messages": ASKED, "response_format": TICKET})
    line["response"]["choices"] = [
        {"message": {"role": "assistant", "content": '{"team": "billing", "urgency": "low"}'}}
    ]
    _, found = read(line, label=ANSWER)
    assert [one.action for one in found] == ["billing", "low"]


def test_what_is_no_text_is_named_in_the_state(read):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}}
    alone = changed("request.messages.1.content", [image])
    beside = changed("request.messages.1.content", [{"type": "text", "text": "Look:"}, image])
    _, (first, second) = read(alone, beside)
    assert first.state == {"user": "[image_url]", "system": "You help customers."}
    assert second.state["user"] == "Look:\n[image_url]"
