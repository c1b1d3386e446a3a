"""An OpenAI client, observed: its answers come back as they are, and those that are decisions are recorded."""

from __future__ import annotations

import asyncio
import enum
import json
from typing import Any, Literal

import openai
import pydantic
import pytest

import aegis
from aegis.errors import ConfigError
from aegis.lifecycle import open_store
from aegis.lifecycle.point import read_actions
from aegis.workspace import Workspace

SCHEMA = {
    "type": "object",
    "properties": {"why": {"type": "string"}, "route": {"enum": ["refund", "ask a person"], "type": "string"}},
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "routing", "schema": SCHEMA, "strict": True}}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "search", "description": "Look it up.", "parameters": {}}},
    {"type": "function", "function": {"name": "book_room", "parameters": {"type": "object"}}},
]
MESSAGES = [{"role": "system", "content": "Route it."}, {"role": "user", "content": "my phone is broken"}]
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


def completion(content=None, tool=None):
    calls = [{"id": "c1", "type": "function", "function": {"name": tool, "arguments": "{}"}}] if tool else None
    message = {"role": "assistant", "content": content, "tool_calls": calls}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    base = {"id": "x", "object": "chat.completion", "created": 1, "model": "gpt-9-2026", "usage": USAGE}
    return base | {"choices": choices}


@pytest.fixture
def answers(httpserver):
    """Return what sets the endpoint's next answers."""

    def answer(*bodies, path="/v1/chat/completions"):
        for body in bodies:
            httpserver.expect_ordered_request(path, method="POST").respond_with_json(body)

    return answer


@pytest.fixture
def make_client(httpserver, tmp_path):
    made = []

    def make(kind=openai.OpenAI, name="tools", **options):
        client = kind(api_key="none", base_url=httpserver.url_for("/v1"), max_retries=0)
        made.append(aegis.observe_openai(client, name, workspace=tmp_path, **options))
        return made[-1]

    yield make
    for client in made:
        client.observer.close()
        asyncio.run(client.close()) if isinstance(client, openai.AsyncOpenAI) else client.close()


def read(tmp_path, name):
    with open_store(Workspace(tmp_path).point(name)) as store:
        return list(store.decisions())


def test_a_field_with_letters_outside_ascii_is_recorded(make_client, answers):
    answers(completion('{"größe": "klein"}'))
    schema = {"type": "object", "properties": {"größe": {"enum": ["klein", "groß"], "type": "string"}}}
    client = make_client()
    form = {"type": "json_schema", "json_schema": {"name": "Paket", "schema": schema}}
    client.chat.completions.create(model="gpt-9", messages=MESSAGES, response_format=form)
    assert client.observer.flush()
    assert client.observer.faults == {}
    (point,) = client.observer.points
    assert point.startswith("Paket-groe-")


def test_an_enum_in_a_structured_output_is_a_decision(make_client, answers, tmp_path):
    answers(completion('{"why": "it says so", "route": "ask a person"}'))
    client = make_client(prices=(2.0, 10.0))
    response = client.chat.completions.create(model="gpt-9", messages=MESSAGES, response_format=FORMAT)
    assert isinstance(response, openai.types.chat.ChatCompletion)
    assert json.loads(str(response.choices[0].message.content))["route"] == "ask a person"
    assert client.observer.flush()
    (decision,) = read(tmp_path, "routing-route")
    assert (decision.action.name, decision.policy) == ("ask_a_person", "gpt-9")
    assert decision.state == {"user": "my phone is broken", "system": "Route it."}
    with open_store(Workspace(tmp_path).point("routing-route")) as store:
        assert [(spec.name, spec.words) for spec in read_actions(store)] == [
            ("ask_a_person", "ask a person"),
            ("refund", "refund"),
        ]
        assert store.mean_cost("gpt-9") == pytest.approx(1000 * 2e-6 + 100 * 10e-6)
    assert client.observer.faults == {}


def test_a_tool_choice_is_a_decision_among_the_tools_and_a_plain_answer(make_client, answers, tmp_path):
    answers(completion(tool="search"), completion("hello"), completion(tool="book_room"))
    client = make_client(name="front-desk")
    for choice in ("auto", "auto", "required"):
        client.chat.completions.create(model="gpt-9", messages=MESSAGES, tools=TOOLS, tool_choice=choice)
    assert client.observer.flush()
    made = read(tmp_path, "front-desk")
    assert [decision.action.name for decision in made] == ["search", "answer_in_text", "book_room"]
    assert [len(decision.actions) for decision in made] == [3, 3, 2]
    assert len({decision.episode for decision in made}) == 1  # one conversation
    with open_store(Workspace(tmp_path).point("front-desk")) as store:
        assert read_actions(store)["search"].description == "Look it up."
    assert client.observer.faults == {}


def test_an_async_client_is_observed_too(make_client, answers, tmp_path):
    answers(*[completion(tool="search")] * 3)

    async def ask():
        client = make_client(openai.AsyncOpenAI)
        create = client.chat.completions.create
        found = await asyncio.gather(*(create(model="gpt-9", messages=MESSAGES, tools=TOOLS) for _ in range(3)))
        assert client.observer.flush()
        await client.close()
        return found

    assert [one.choices[0].message.tool_calls[0].function.name for one in asyncio.run(ask())] == ["search"] * 3
    assert len(read(tmp_path, "tools")) == 3


class Route(enum.Enum):
    REFUND = "refund"
    ANSWER = "answer"


class Routing(pydantic.BaseModel):
    route: Route
    urgent: Literal["yes", "no"]


def test_a_parsed_answer_holds_a_decision_for_each_enum(make_client, answers, tmp_path):
    answers(completion('{"route": "refund", "urgent": "no"}'))
    client = make_client(cost_per_call=0.5)
    response = client.chat.completions.parse(model="gpt-9", messages=MESSAGES, response_format=Routing)
    assert response.choices[0].message.parsed == Routing(route=Route.REFUND, urgent="no")
    assert client.observer.flush()
    assert client.observer.faults == {}
    assert [read(tmp_path, f"Routing-{key}")[0].action.name for key in ("route", "urgent")] == ["refund", "no"]
    with open_store(Workspace(tmp_path).point("Routing-route")) as store:
        assert store.mean_cost("gpt-9") == 0.25  # two decisions share one call


def reply(*output):
    return {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": "gpt-9",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def test_the_responses_api_is_read_too(make_client, answers, tmp_path):
    said = {"type": "output_text", "text": '{"route": "refund"}', "annotations": []}
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [said]}
    call = {"id": "f", "type": "function_call", "call_id": "c", "name": "search", "arguments": "{}"}
    answers(reply(message), reply(call), path="/v1/responses")
    client = make_client()
    form = {"format": {"type": "json_schema", "name": "routing", "schema": SCHEMA}}
    client.responses.create(model="gpt-9", instructions="Route it.", input="my phone is broken", text=form)
    tools = [{"type": "function", "strict": True} | tool["function"] for tool in TOOLS]
    turns = [
        {"role": "user", "content": [{"type": "input_text", "text": "where is it"}]},
        {"type": "function_call", "call_id": "b", "name": "book_room", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "b", "output": "no room"},
    ]
    client.responses.create(model="gpt-9", input=turns, tools=tools)
    assert client.observer.flush()
    assert client.observer.faults == {}
    (routed,), (called,) = read(tmp_path, "routing-route"), read(tmp_path, "tools")
    assert (routed.action.name, routed.state["user"]) == ("refund", "my phone is broken")
    assert (called.action.name, called.state["result"]) == ("search", "no room")


def test_what_is_no_decision_passes_through(make_client, answers, httpserver):
    answers(completion("hello"), completion(tool="search"))
    client = make_client()
    create = client.chat.completions.create
    assert create(model="gpt-9", messages=MESSAGES).choices[0].message.content == "hello"
    raw = client.chat.completions.with_raw_response.create(model="gpt-9", messages=MESSAGES, tools=TOOLS)
    assert raw.parse().choices[0].message.tool_calls[0].function.name == "search"
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "gpt-9"}
    delta = chunk | {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}]}
    httpserver.expect_ordered_request("/v1/chat/completions").respond_with_data(
        f"data: {json.dumps(delta)}\n\ndata: [DONE]\n\n", content_type="text/event-stream"
    )
    with create(model="gpt-9", messages=MESSAGES, tools=TOOLS, stream=True) as stream:
        assert [part.choices[0].delta.content for part in stream] == ["hi"]
    assert client.observer.passed == 3
    assert client.observer.points == {}
    assert client.observer.faults == {}


def test_an_error_of_the_endpoint_is_raised_as_before(make_client, httpserver):
    httpserver.expect_request("/v1/chat/completions").respond_with_json({"error": {"message": "no"}}, status=400)
    client = make_client()
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    with pytest.raises(TypeError):
        client.chat.completions.create()
    assert client.observer.faults == {}


def test_faults_and_answers_of_another_model_are_counted_and_answers_come_back(make_client, answers, tmp_path):
    both = completion(tool="search")
    other = {"id": "c2", "type": "function", "function": {"name": "book_room", "arguments": "{}"}}
    both["choices"][0]["message"]["tool_calls"].append(other)
    answers(completion(tool="search"), completion(tool="search"), completion(tool="dance"), both)
    client = make_client()
    create = client.chat.completions.create
    for model in ("gpt-9", "gpt-8", "gpt-9", "gpt-9"):
        assert create(model=model, messages=MESSAGES, tools=TOOLS).choices[0].message.tool_calls
    assert client.observer.flush()
    # Another model; a tool that is not on offer; two tools at once.
    assert client.observer.faults == {"teacher": 1, "answer": 1}
    assert client.observer.passed == 1
    assert len(read(tmp_path, "tools")) == 1
    assert client.observer.savings()["tools"].recorded == 1


def test_actions_beyond_the_first_request_are_given_by_the_owner(make_client, answers, tmp_path):
    answers(completion(tool="search"), completion(tool="book_room"))
    client = make_client(actions={"tools": ["search", "book_room", "answer_in_text"]})
    for tools in (TOOLS[:1], TOOLS):
        client.chat.completions.create(model="gpt-9", messages=MESSAGES, tools=tools)
    assert client.observer.flush()
    assert [decision.action.name for decision in read(tmp_path, "tools")] == ["search", "book_room"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "assist"}, "a client is only observed"),
        ({"prices": (1, 2), "cost_per_call": 1}, "not both"),
        ({"colour": 1}, "colour: no setting"),
    ],
)
def test_settings_that_do_not_fit_are_refused(make_client, options, said):
    with pytest.raises(ConfigError, match=said):
        make_client(**options)


def test_a_client_is_observed_once(make_client, tmp_path):
    with pytest.raises(ConfigError, match="observed already"):
        aegis.observe_openai(make_client(), workspace=tmp_path)
