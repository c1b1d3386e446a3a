"""States that are whole, for an import: nothing is cut, and a chat is its messages as they were sent."""

from __future__ import annotations

from typing import Any

import pytest

from aegis.formats import read_decisions

LONG = "x" * 9000
SYSTEM = {"role": "system", "content": "You route."}
USER = {"role": "user", "content": LONG}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "search", "arguments": "{}"}}]}
FOUND = {"role": "tool", "content": "nothing"}


def test_an_example_keeps_its_whole_text_and_a_chat_its_messages(read):
    _, (example,) = read({"input": LONG, "label": "a"}, whole=True)
    assert example.state == {"input": LONG}
    tools = [{"function": {"name": name}} for name in ("search", "refund")]
    answer = {"choices": [{"message": {"role": "assistant", "content": "Sorry"}}]}
    line = {"messages": [SYSTEM, USER, CALL, FOUND], "tools": tools, "model": "gpt-4o", **answer}
    _, (decision,) = read(line, whole=True)
    messages = decision.state["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool"]
    assert (messages[1], messages[2]["content"]) == (USER, "")
    assert messages[2]["tool_calls"] == CALL["tool_calls"]
    _, (digest,) = read(line)
    assert digest.state.keys() == {"user", "called", "result", "system"}
    assert len(digest.state["user"]) < len(LONG)


def test_chats_of_other_shapes_become_the_same_messages(read):
    use = {"type": "tool_use", "name": "search", "input": {"to": "Oslo"}}
    result = {"type": "tool_result", "content": [{"type": "text", "text": "nothing"}]}
    anthropic: dict[str, Any] = {
        "system": "You route.",
        "messages": [USER, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}],
        "tools": [{"name": "search", "input_schema": {}}],
        "content": [{"type": "text", "text": "Sorry"}],
        "role": "assistant",
    }
    parts = [{"type": "tool_call", "name": "search", "arguments": {"to": "Oslo"}}]
    attributes = {
        "gen_ai.system_instructions": [{"type": "text", "content": "You route."}],
        "gen_ai.input.messages": [
            {"role": "user", "parts": [{"type": "text", "content": LONG}]},
            {"role": "assistant", "parts": parts},
            {"role": "tool", "parts": [{"type": "tool_call_response", "response": "nothing"}]},
        ],
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Sorry"}]}],
        "reward": 0.5,
    }
    _, (from_anthropic,) = read(anthropic, whole=True)
    _, (from_span,) = read({"attributes": attributes, "span_id": "s1", "trace_id": "t1"}, whole=True)
    call = {"function": {"name": "search", "arguments": {"to": "Oslo"}}}
    expected = [SYSTEM, USER, {"role": "assistant", "content": "", "tool_calls": [call]}, FOUND]
    assert from_anthropic.state == from_span.state == {"messages": expected}
    assert (from_span.id, from_span.reward) == ("s1", 0.5)


def test_a_conversation_gives_each_decision_an_id_and_the_last_one_its_reward(read):
    said = {"role": "assistant", "content": "hello"}
    tools = [{"function": {"name": "search"}}]
    line = {"id": "c1", "messages": [USER, CALL, FOUND, said], "tools": tools, "metadata": {"reward": 1.0}}
    _, decisions = read(line)
    assert [(one.id, one.reward, one.position) for one in decisions] == [
        ("c1#0", None, "line 1"),
        ("c1#1", 1.0, "line 1"),
    ]


@pytest.mark.parametrize(("option", "reward"), [({}, "0.5"), ({"reward": "paid"}, "9")])
def test_a_reward_is_no_part_of_the_state(read, option, reward):
    _, (row,) = read("amount,label,reward,paid", "3,a,0.5,9", name="t.csv", **option)
    assert row.reward == reward
    assert not row.state.keys() & {"label", option.get("reward", "reward")}
    _, (example,) = read({"amount": 3, "label": "a", "reward": 0.5, "paid": 9}, **option)
    assert str(example.reward) == reward
    assert not example.state.keys() & {"label", option.get("reward", "reward")}


def test_the_metadata_of_aegis_own_records_are_kept(written):
    record = {"state": "a text", "action": {"action": "refund"}, "timestamp": "2026-11-01T12:00:00+00:00"}
    for reading in (
        read_decisions(written({"metadata": {"teacher": "mine"}}, record)),
        read_decisions(written({"metadata": {"teacher": "mine"}, "examples": [record]}, name="whole.json")),
    ):
        (decision,) = reading.decisions
        assert (reading.format, reading.metadata) == ("aegis", {"teacher": "mine"})
        assert (decision.state, decision.action) == ({"text": "a text"}, "refund")
