"""OpenAI's and Anthropic's own clients behind the gateway: what they get, and what is recorded of their choices."""

from __future__ import annotations

import contextlib
import json

import openai
import pytest

from tests.serving.gateway.wire import (
    CLAUDE_TOOLS,
    FLAT_TOOLS,
    FUNCTION_CALL,
    MESSAGE_STREAM,
    MESSAGES,
    RESPONSE_STREAM,
    RESPONSES,
    ROUTE,
    TOOL_USE,
    events,
    message,
    response,
    said,
)

HEADERS = {"x-aegis-point": "router", "x-aegis-episode": "customer 7"}
USER = [{"role": "user", "content": "My phone is broken"}]
RESPOND = {"model": "m", "input": USER, "tools": FLAT_TOOLS, "tool_choice": "required", "store": False}
CLAUDE = {"model": "m", "max_tokens": 9, "messages": USER, "tools": CLAUDE_TOOLS, "tool_choice": {"type": "any"}}


def openai_client(gate, **more):
    return openai.OpenAI(base_url=f"{gate.url}/v1", api_key="sk", **({"max_retries": 0} | more))


@pytest.fixture
def anthropic():
    return pytest.importorskip("anthropic")


@pytest.fixture
def claude(anthropic):
    """Return what makes a client of Anthropic's."""
    with contextlib.ExitStack() as stack:
        yield lambda gate, **more: stack.enter_context(
            anthropic.Anthropic(base_url=gate.url, api_key="sk", **({"max_retries": 0} | more))
        )


def test_responses_are_recorded_whole_streamed_and_structured(gate, wait_for, recorded_at):
    with openai_client(gate) as client:
        gate.upstream.answer(response(FUNCTION_CALL), packed=True)
        answer = client.responses.create(**RESPOND, extra_headers=HEADERS)
        assert answer.output[0].name == "refund"
        gate.upstream.stream(*RESPONSE_STREAM)
        stream = client.responses.create(**RESPOND, stream=True, extra_headers=HEADERS)
        assert [event.type for event in stream][-1] == "response.completed"
        gate.upstream.answer(response(said('{"to": "b"}')))
        form = {"format": {"type": "json_schema", "name": "route", "schema": ROUTE}}
        raw = client.responses.with_raw_response.create(model="m", input="Hello", text=form)
        assert raw.parse().output_text == '{"to": "b"}'
    wait_for(lambda: gate.recorded() == 3)
    assert [one.decision.action.name for one in recorded_at("router")] == ["refund", "refund"]
    assert recorded_at("router")[0].decision.episode == "customer 7"
    assert recorded_at(raw.headers["x-aegis-point"])[0].decision.action.name == "b"


def test_an_hrm_answers_openais_client_in_the_form_of_responses(assisted, recorded_at):
    gate = assisted(RESPOND, response(FUNCTION_CALL), RESPONSES)
    with openai_client(gate) as client:
        answer = client.responses.create(**RESPOND, extra_headers=HEADERS)
        (item,) = answer.output
        assert (item.type, item.name in ("search", "refund"), item.arguments) == ("function_call", True, "{}")
        assert (answer.status, answer.usage.total_tokens, answer.tool_choice) == ("completed", 0, "required")
        with client.responses.stream(**RESPOND, extra_headers=HEADERS) as stream:
            kinds = [event.type for event in stream]
            assert stream.get_final_response().output[0].name in ("search", "refund")
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert (kinds[-1], gate.upstream.got) == ("response.completed", [])
    assert [one.decision.policy for one in recorded_at("router")] == ["hrm@1", "hrm@1", "m"]
    # The upstream would not know an answer that a later request refers to.
    kept = json.dumps({**RESPOND, "store": True})
    assert gate.through.post(RESPONSES, content=kept, headers=HEADERS).headers["x-aegis-policy"] == "m"


def test_messages_are_recorded_whole_and_streamed(gate, claude, wait_for, recorded_at):
    client = claude(gate)
    gate.upstream.answer(message(TOOL_USE, stop="tool_use"), packed=True)
    raw = client.messages.with_raw_response.create(**CLAUDE, extra_headers=HEADERS)
    assert raw.parse().content[0].name == "refund"
    assert raw.headers["x-aegis-policy"] == "m"
    gate.upstream.stream(*MESSAGE_STREAM)
    with client.messages.stream(**CLAUDE, extra_headers=HEADERS) as stream:
        assert stream.get_final_message().content[0].name == "refund"
    wait_for(lambda: gate.recorded() == 2)
    first, second = (one.decision for one in recorded_at("router"))
    assert (
        (first.action.name, first.actions) == (second.action.name, second.actions) == ("refund", ("refund", "search"))
    )
    assert second.id == raw.headers["x-aegis-decision"]


def test_an_hrm_answers_anthropics_client_in_the_form_of_messages(assisted, claude):
    gate = assisted(CLAUDE, message(TOOL_USE, stop="tool_use"), MESSAGES)
    client = claude(gate)
    answer = client.messages.create(**CLAUDE, extra_headers=HEADERS)
    assert (answer.stop_reason, answer.content[0].type, answer.content[0].input) == ("tool_use", "tool_use", {})
    assert answer.usage.input_tokens == answer.usage.output_tokens == 0
    with client.messages.stream(**CLAUDE, extra_headers=HEADERS) as stream:
        assert stream.get_final_message().content[0].name in ("search", "refund")
    assert gate.upstream.got == []


def test_anthropics_errors_and_retries_are_as_without_a_gateway(gate, claude, anthropic):
    gate.upstream.answer({"type": "error", "error": {"type": "overloaded_error", "message": "later"}}, 529)
    with pytest.raises(anthropic.APIStatusError, match="later"):
        claude(gate, max_retries=1).messages.create(**CLAUDE)
    assert len(gate.upstream.got) == 2
    gate.upstream.stream(*MESSAGE_STREAM[:2], *events({"type": "error", "error": {"type": "api_error"}}))
    with pytest.raises(anthropic.APIStatusError), claude(gate).messages.stream(**CLAUDE) as stream:
        stream.get_final_message()
    assert gate.recorded() == 0


def test_a_client_that_stops_reading_ends_the_request_at_the_upstream(gate, wait_for):
    gate.upstream.stream(*RESPONSE_STREAM[:1] * 1000)
    gate.upstream.waits = 0.05
    with openai_client(gate) as client:
        stream = client.responses.create(**RESPOND, stream=True)
        assert next(iter(stream)).type == "response.created"
        stream.close()
    wait_for(lambda: gate.upstream.left == 1)
    assert gate.recorded() == 0
