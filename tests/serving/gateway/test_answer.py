"""Answers as one chat completion: unpacked, and put together from streams of any kind; broken ones are refused."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.errors import DataError
from aegis.serving.gateway.answer import read_answer
from aegis.serving.gateway.dialect.chat import ChatCompletions

CHAT = ChatCompletions()
STREAM = {"content-type": "text/event-stream"}


def event(delta, finish=None, index=0):
    return b"data: " + json.dumps({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}).encode()


@given(st.lists(st.text(max_size=5), max_size=6))
def test_a_text_in_pieces_is_one_text(pieces):
    body = b"\r\n\r\n".join([*(event({"content": piece}) for piece in pieces), event({}, "stop"), b"data: [DONE]"])
    (choice,) = read_answer(CHAT, STREAM, body)["choices"]
    assert choice["message"] == {"content": "".join(pieces), "tool_calls": []}


def test_calls_of_several_tools_are_put_together_by_their_index():
    parts = [(1, "b", "{"), (0, "a", "{}"), (1, None, "}")]
    lines = [
        event({"tool_calls": [{"index": place, "function": {"name": name, "arguments": more}}]})
        for place, name, more in parts
    ]
    lines += [event({"content": "of another choice"}, index=1), b'data: {"usage": {}, "choices": []}', b": a comment"]
    lines += [event({"content": None}, "tool_calls")]
    (choice,) = read_answer(CHAT, STREAM, b"\n\n".join(lines))["choices"]
    assert [call["function"] for call in choice["message"]["tool_calls"]] == [
        {"name": "a", "arguments": "{}"},
        {"name": "b", "arguments": "{}"},
    ]


def test_a_packed_answer_is_unpacked():
    for encoding, packed in (("gzip", gzip.compress(b'{"a": 1}')), ("deflate", zlib.compress(b'{"a": 1}'))):
        assert read_answer(CHAT, {"content-encoding": encoding}, packed) == {"a": 1}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"{"),
        ({}, b"[]"),
        ({}, b"\xff"),
        ({"content-encoding": "br"}, b"{}"),
        ({"content-encoding": "gzip"}, b"{}"),
        ({"content-encoding": "gzip"}, gzip.compress(b" " * 20_000_000 + b"{}")),
        (STREAM, event({"content": "x"})),
        (STREAM, b"data: {"),
        (STREAM, b""),
    ],
)
def test_what_is_broken_or_cut_off_is_refused(headers, body):
    with pytest.raises(DataError):
        read_answer(CHAT, headers, body)
