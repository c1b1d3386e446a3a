"""States that are whole, for an import: no text is cut, and no turn of a chat is left out."""

from __future__ import annotations

from typing import Any

import pytest

from aegis.formats import read_decisions

LONG = "x" * 9000
SYSTEM = {"role": "system", "content": "You route."}
USER = {"role": "user", "content": LONG}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "search", "arguments": "{}"}}]}
FOUND = {"role": "tool", "content": "nothing"}


def test_an_example_keeps_its_whole_text_and_a_chat_every_turn(read):
    _, (example,) = read({"input": LONG, "label": "a"}, whole=True)
    assert example.state == {"input": LONG}
    tools = [{"function": {"name": name}} for name in ("search", "refund")]
    answer = {"choices": [{"message": {"role": "assistant", "content": "Sorry"}}]}
    line = {"messages": [SYSTEM, *[USER] * 12, CALL, FOUND], "tools": tools, "model": "gpt-4o", **answer}
    _, (decision,) = read(line, whole=True)
    earlier = [f"user: {LONG}"] * 11
    assert decision.state == {
        "user": LONG,
        "called": ["search"],
        "result": "nothing",
        "earlier": earlier,
        "system": "You route.",
    }
    _, (digest,) = read(line)
    assert digest.state.keys() == decision.state.keys()
    assert len(digest.state["user"]) < len(LONG)
    assert len(digest.state["earlier"]) == 8
    assert max(map(len, digest.state["earlier"])) < 310


def test_chats_of_other_shapes_become_the_same_state(read):
    use = {"type": "tool_use", "name": "search", "input": {"to": "Oslo"}}
    result = {"type": "tool_result", "content": [{"type": "text", "text": LONG}]}
    anthropic: dict[str, Any] = {
        "system": LONG,
        "messages": [USER, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}],
        "tools": [{"name": "search", "input_schema": {}}],
        "content": [{"type": "text", "text": "Sorry"}],
        "role": "assistant",
    }
    parts = [{"type": "tool_call", "name": "search", "arguments": {"to": "Oslo"}}]
    attributes = {
        "gen_ai.system_instructions": [{"type": "text", "content": LONG}],
        "gen_ai.input.messages": [
            {"role": "user", "parts": [{"type": "text", "content": LONG}]},
            {"role": "assistant", "parts": parts},
            {"role": "tool", "parts": [{"type": "tool_call_response", "response": LONG}]},
        ],
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Sorry"}]}],
        "reward": 0.5,
    }
    _, (from_anthropic,) = read(anthropic, whole=True)
    _, (from_span,) = read({"attributes": attributes, "span_id": "s1", "trace_id": "t1"}, whole=True)
    expected = {"user": LONG, "called": ["search"], "result": LONG, "system": LONG}
    assert from_anthropic.state == from_span.state == expected
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
