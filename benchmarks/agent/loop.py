"""The agent: it works through conversations of a published benchmark, and asks a model for each next step.

It knows OpenAI's client and nothing of AEGIS. Where its requests go is the client's `base_url`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.decisions.bfcl import ANSWERS, TASKS, TOOLS, find_apis, find_data, read_lines

if TYPE_CHECKING:
    from openai import OpenAI

MODEL = "gemma-3-270m"
ANSWER_USER = "answer"
APIS = {
    "gorilla_file_system": "files",
    "math_api": "math",
    "message_api": "messages",
    "posting_api": "posts",
    "ticket_api": "tickets",
    "trading_bot": "stocks",
    "travel_booking": "travel",
    "vehicle_control": "car",
}
"""The agent's word for each API of the benchmark"""
SYSTEM = "You plan the next step of an assistant. Say which of its skills comes next."
SCHEMA = {
    "type": "object",
    "properties": {"next": {"type": "string", "enum": [*APIS.values(), ANSWER_USER]}},
    "required": ["next"],
    "additionalProperties": False,
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "next_step", "strict": True, "schema": SCHEMA}}


class Turn(NamedTuple):
    """What the user says, and the published calls that answer it: the names of the tools."""

    says: str
    calls: Sequence[str]


class Step(NamedTuple):
    """One answer of whoever decided."""

    label: str
    seconds: float
    policy: str
    """By the header that the gateway adds; '' where the model was asked directly"""
    read: int
    """Tokens that the answer says were read"""
    written: int


def read_tasks() -> dict[str, list[Turn]]:
    """Return the conversations of the benchmark's multi-turn tasks, by their id."""
    data = find_data()
    answers = read_lines(data / ANSWERS)
    return {
        name: [
            Turn(turn[-1]["content"], [call.split("(")[0] for call in calls])
            for turn, calls in zip(task["question"], answers[name]["ground_truth"], strict=True)
        ]
        for name, task in read_lines(data / TASKS).items()
    }


def requests_of(task: Sequence[Turn]) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the messages of each request of a conversation.

    The agent carries out the published call, whatever was answered: so a conversation runs the same whoever decides.
    """
    skills = find_apis(find_data() / TOOLS)
    messages: list[Mapping[str, Any]] = [{"role": "system", "content": SYSTEM}]
    for turn in task:
        messages.append({"role": "user", "content": turn.says})
        for number, tool in enumerate(turn.calls):
            yield messages
            id = f"call_{len(messages)}"
            call = {"id": id, "type": "function", "function": {"name": tool, "arguments": "{}"}}
            messages = [*messages, {"role": "assistant", "content": None, "tool_calls": [call]}]
            done = f"{APIS[skills[tool]]}: step {number + 1} is done"
            messages.append({"role": "tool", "tool_call_id": id, "content": done})
        yield messages
        messages = [*messages, {"role": "assistant", "content": "It is done."}]


def work_through(client: OpenAI, task: Sequence[Turn], hear: Callable[[Step], None]) -> None:
    """Ask for every step of a conversation. hear: takes each step."""
    for messages in requests_of(task):
        began = time.perf_counter()
        asked: Any = messages
        response = client.chat.completions.with_raw_response.create(model=MODEL, messages=asked, response_format=FORMAT)
        answer = response.parse()
        seconds = time.perf_counter() - began
        label = json.loads(answer.choices[0].message.content or "{}")["next"]
        usage = answer.usage
        policy = response.headers.get("x-aegis-policy", "")
        read, written = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        hear(Step(label, seconds, policy, read, written))
