"""Requests with images, sounds and files: the state names them, and the upstream decides, whatever the HRM says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.gateway.conftest import completion
from tests.serving.gateway.wire import (
    CALL,
    CHAT,
    CLAUDE_TOOLS,
    FLAT_TOOLS,
    FUNCTION_CALL,
    MESSAGES,
    RESPONSES,
    TOOL_USE,
    TOOLS,
    message,
    response,
)

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGR", "format": "wav"}}
FILE = {"type": "file", "file": {"file_id": "file-1"}}
SOURCE = {"type": "base64", "media_type": "image/png", "data": "iVBOR"}
TICKET = {"type": "text", "text": "My phone is broken"}


def chat(*messages):
    return {"model": "m", "messages": list(messages), "tools": TOOLS, "tool_choice": "required"}


def responses(*items):
    return {"model": "m", "input": list(items), "tools": FLAT_TOOLS, "tool_choice": "required", "store": False}


def claude(*messages):
    head = {"model": "m", "max_tokens": 9, "tools": CLAUDE_TOOLS, "tool_choice": {"type": "any"}}
    return {**head, "messages": list(messages)}


def user(*parts):
    return {"role": "user", "content": list(parts)}


READ = {
    CHAT: chat(user(TICKET)),
    RESPONSES: responses(user({**TICKET, "type": "input_text"})),
    MESSAGES: claude(user(TICKET)),
}
UNREAD: dict[str, list[Any]] = {
    CHAT: [
        (chat(user(IMAGE)), "image_url", {"user": "[image_url]"}),
        (chat(user(TICKET, IMAGE)), "image_url", {"user": "My phone is broken\n[image_url]"}),
        (chat(user(SOUND, FILE)), "input_audio, file", {"user": "[input_audio]\n[file]"}),
        (
            chat(user(IMAGE), {"role": "assistant", "content": "A phone?"}, {"role": "user", "content": "Yes"}),
            "image_url",
            {"user": "Yes", "earlier": ["user: [image_url]", "assistant: A phone?"]},
        ),
    ],
    RESPONSES: [
        (
            responses(user({"type": "input_image", "image_url": "https://a.example/1.png"})),
            "input_image",
            {"user": "[input_image]"},
        ),
        (responses(user({"type": "input_file", "file_id": "file-1"})), "input_file", {"user": "[input_file]"}),
        (
            responses({"role": "user", "content": "Go on"}, {"type": "item_reference", "id": "msg_1"}),
            "item_reference",
            {"user": "Go on", "result": "[item_reference]"},
        ),
    ],
    MESSAGES: [
        (claude(user({"type": "image", "source": SOURCE})), "image", {"user": "[image]"}),
        (
            claude(user(TICKET, {"type": "document", "source": SOURCE})),
            "document",
            {"user": "My phone is broken\n[document]"},
        ),
        (
            claude(
                {"role": "user", "content": "Look"},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm"}, TOOL_USE]},
                user(
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "image", "source": SOURCE}]}
                ),
            ),
            "image",
            {"user": "Look", "called": ["refund"], "result": "[image]"},
        ),
    ],
}

ANSWERS = {
    CHAT: completion({"tool_calls": [CALL]}, "tool_calls"),
    RESPONSES: response(FUNCTION_CALL),
    MESSAGES: message(TOOL_USE, stop="tool_use"),
}


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_what_is_no_text_is_the_upstreams_and_the_state_names_it(path, assisted, wait_for, recorded_at):
    gate = assisted(READ[path], ANSWERS[path], path)
    for body, kinds, state in UNREAD[path]:
        known = gate.recorded()
        answer = gate.through.post(path, json=body, headers={"x-aegis-point": "router"})
        assert answer.headers["x-aegis-policy"] == "m"
        assert answer.headers["x-aegis-unread"] == f"{kinds}: no text, so that the upstream decides"
        wait_for(lambda known=known: gate.recorded() > known)
        newest = recorded_at("router")[0].decision
        assert (newest.state, newest.policy) == (state, "m")
    assert len(gate.upstream.got) == len(UNREAD[path])
    answer = gate.through.post(path, json=READ[path], headers={"x-aegis-point": "router"})
    assert (answer.headers["x-aegis-policy"], answer.headers.get("x-aegis-unread")) == ("hrm@1", None)
