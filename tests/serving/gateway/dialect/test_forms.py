"""A decision written in each form is what the companies' own clients expect, and reads back as the same decision."""

from __future__ import annotations

import json

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from aegis.errors import DataError
from aegis.serving.gateway.answer import read_answer
from aegis.serving.gateway.dialect import DIALECTS, Reply
from tests.serving.gateway.wire import CHAT, MESSAGES, RESPONSES

REPLIES = {
    "a tool": Reply("1f", "m", 1, "refund", "{}"),
    "a tool with arguments": Reply("1f", "m", 1, "route", '{"to": "ü\u2028"}'),
    "a text": Reply("1f", "m", 1, text='{"to": "a"}'),
}
TYPES = {CHAT: (ChatCompletion, ChatCompletionChunk), RESPONSES: (Response, ResponseStreamEvent)}


def typed(kind, value):
    """Return a value as a client reads it; it must be whole: nothing may be missing, and no field of another type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind.model_validate(value)
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("path", DIALECTS)
def test_a_decision_reads_back_from_an_answer_and_from_a_stream(path, reply):
    dialect = DIALECTS[path]
    body = json.dumps(dialect.write(reply, {})).encode()
    stream = b"".join(dialect.stream(reply, {"stream_options": {"include_usage": True}}))
    for kind, sent in (("application/json", body), ("text/event-stream; charset=utf-8", stream)):
        answer = read_answer(dialect, {"content-type": kind}, sent)
        turn = dialect.turn(answer)
        if reply.tool:
            (call,) = turn.calls
            assert (call.name, call.arguments) == (reply.tool, json.loads(reply.text))
        else:
            assert (turn.text, turn.calls) == (reply.text, ())
        assert dialect.tokens(answer) == (0, 0)
        assert str(answer["id"]).endswith("1f")


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("path", TYPES)
def test_openais_types_take_every_answer_and_every_event(path, reply):
    whole, part = TYPES[path]
    dialect = DIALECTS[path]
    assert typed(whole, dialect.write(reply, {})).model == "m"
    parts = [one.partition(b"data: ")[2] for one in dialect.stream(reply, {})]
    for one in parts:
        if one.strip() != b"[DONE]":
            typed(part, json.loads(one))


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_anthropics_types_take_every_answer_and_every_event(reply):
    types = pytest.importorskip("anthropic.types")
    dialect = DIALECTS[MESSAGES]
    assert typed(types.Message, dialect.write(reply, {})).model == "m"
    for one in dialect.stream(reply, {}):
        typed(types.RawMessageStreamEvent, json.loads(one.partition(b"data: ")[2]))


@pytest.mark.parametrize(
    ("path", "answer"),
    [(CHAT, {}), (CHAT, {"choices": []}), (RESPONSES, {}), (MESSAGES, {}), (MESSAGES, {"content": "text"})],
)
def test_an_answer_out_of_form_is_refused(path, answer):
    with pytest.raises(DataError):
        DIALECTS[path].turn(answer)


@pytest.mark.parametrize(("path", "field"), [(CHAT, "function"), (RESPONSES, "name"), (MESSAGES, "name")])
def test_a_tool_is_forced_in_the_words_of_each_company(path, field):
    forced = DIALECTS[path].forced({"model": "m", "tool_choice": None}, "refund")
    named = forced["tool_choice"][field]
    assert named in ("refund", {"name": "refund"})
    assert DIALECTS[path].is_open(forced)
