"""An agent with OpenAI's own client behind the gateway: what it gets, and what is recorded of its choices."""

from __future__ import annotations

import asyncio
import enum
import json
from typing import Any

import httpx2
import openai
import pydantic
import pytest

MESSAGES: Any = [{"role": "system", "content": "You route."}, {"role": "user", "content": "My phone is broken"}]
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "description": name, "parameters": {"type": "object"}}}
    for name in ("search.web", "refund")
]


class Team(enum.Enum):
    SALES = "sales"
    HELP = "help desk"


class Route(pydantic.BaseModel):
    team: Team


@pytest.fixture
def client(gate):
    with openai.OpenAI(base_url=f"{gate.url}/v1", api_key="sk-test", max_retries=0) as client:
        yield client


def call(name, arguments="{}"):
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_tool_choice_is_recorded_and_known_by_the_answers_headers(gate, client, wait_for, recorded_at):
    gate.upstream.answer(gate.upstream.completion({"tool_calls": [call("refund")]}, "tool_calls"), packed=True)
    raw = client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES, tools=TOOLS)
    assert raw.parse().choices[0].message.tool_calls[0].function.name == "refund"
    assert raw.headers["x-aegis-policy"] == "m"
    point = raw.headers["x-aegis-point"]
    wait_for(lambda: gate.recorded() == 1)
    (found,) = recorded_at(point)
    assert found.decision.id == raw.headers["x-aegis-decision"]
    assert found.decision.actions == ("answer_in_text", "refund", "search_web")
    assert (found.decision.action.name, found.decision.policy) == ("refund", "m")
    assert found.decision.state["user"] == "My phone is broken"
    # The outcome comes later, by what the headers said.
    report = {"point": point, "decision": found.decision.id, "reward": 1.0}
    assert gate.through.post("/v1/outcomes", json=report).status_code == 200
    assert recorded_at(point)[0].outcome.reward == 1.0


def test_the_same_tools_are_the_same_point_and_a_header_names_another(gate, client, wait_for, recorded_at):
    gate.upstream.answer(gate.upstream.completion({"content": "Hello"}))
    ask = client.chat.completions.with_raw_response.create
    names = [ask(model="m", messages=MESSAGES, tools=TOOLS).headers["x-aegis-point"] for _ in range(2)]
    assert names[0] == names[1]
    headers = {"x-aegis-point": "router", "x-aegis-episode": "customer 7"}
    assert ask(model="m", messages=MESSAGES, tools=TOOLS, extra_headers=headers).headers["x-aegis-point"] == "router"
    wait_for(lambda: gate.recorded() == 3)
    (named,) = recorded_at("router")
    assert (named.decision.action.name, named.decision.episode) == ("answer_in_text", "customer 7")
    assert len(recorded_at(names[0])) == 2


def test_a_point_that_begins_because_the_prompt_or_the_tools_vary_is_told_once(gate, wait_for, caplog):
    """A date in the system prompt would begin a point each day, and none would ever have enough decisions."""
    gate.upstream.answer(gate.upstream.completion({"content": "Hello"}))
    more = [*TOOLS, {"type": "function", "function": {"name": "more", "parameters": {}}}]
    other = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("x", "y")]
    asked = [("Today is 1 May.", TOOLS), ("Today is 2 May.", TOOLS), ("Today is 1 May.", more), ("Other.", other)]
    points = []
    for prompt, tools in [*asked, *asked]:
        body = {"model": "m", "messages": [{"role": "system", "content": prompt}, MESSAGES[1]], "tools": tools}
        points.append(gate.through.post("/v1/chat/completions", json=body).headers["x-aegis-point"])
        wait_for(lambda: gate.recorded() == len(points))
    told = [one.getMessage() for one in caplog.records if "new point" in one.getMessage()]
    assert [one.split(", but")[0] for one in told] == [
        f"new point {points[1]}: 3 of its 3 actions are those of {points[0]}",
        f"new point {points[2]}: 3 of its 4 actions are those of {max(points[:2])}",
    ]
    assert "x-aegis-point" in told[0]


def test_a_structured_output_with_an_enum_is_recorded(gate, client, wait_for, recorded_at):
    gate.upstream.answer(gate.upstream.completion({"content": '{"team": "help desk"}'}))
    schema = {"properties": {"team": {"enum": ["sales", "help desk"]}}}
    form = {"type": "json_schema", "json_schema": {"name": "route", "schema": schema}}
    raw = client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES, response_format=form)
    wait_for(lambda: gate.recorded() == 1)
    (found,) = recorded_at(raw.headers["x-aegis-point"])
    assert (raw.headers["x-aegis-point"], found.decision.action.name) == ("route_team", "help_desk")
    assert found.decision.actions == ("help_desk", "sales")


def test_what_pydantic_asks_for_comes_back_parsed_and_is_recorded(gate, client, wait_for):
    gate.upstream.answer(gate.upstream.completion({"content": '{"team": "sales"}'}))
    answer = client.chat.completions.parse(model="m", messages=MESSAGES, response_format=Route)
    assert answer.choices[0].message.parsed == Route(team=Team.SALES)
    wait_for(lambda: gate.recorded() == 1)


def test_a_stream_of_a_tool_call_arrives_and_is_recorded(gate, wait_for, recorded_at):
    parts = [{"index": 0, **call("search.web", "")}, {"index": 0, "function": {"arguments": '{"q": '}}]
    parts += [{"index": 0, "function": {"arguments": '"x"}'}}]
    chunks = [gate.upstream.chunk({"tool_calls": [part]}) for part in parts]
    gate.upstream.stream(*chunks, gate.upstream.chunk({}, "tool_calls"), b"data: [DONE]\n\n")

    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{gate.url}/v1", api_key="sk-test") as client:
            headers = {"x-aegis-point": "router"}
            stream = await client.chat.completions.create(
                model="m", messages=MESSAGES, tools=TOOLS, stream=True, extra_headers=headers
            )
            return [part async for part in stream]

    came = asyncio.run(ask())
    assert [part.choices[0].finish_reason for part in came] == [None, None, None, "tool_calls"]
    wait_for(lambda: gate.recorded() == 1)
    assert [one.decision.action.name for one in recorded_at("router")] == ["search_web"]


def test_the_clients_errors_and_retries_are_as_without_a_gateway(gate, client):
    gate.upstream.answer({"error": {"message": "slow down", "type": "x", "code": "rate"}}, 429)
    with pytest.raises(openai.RateLimitError, match="slow down"):
        client.chat.completions.create(model="m", messages=MESSAGES, tools=TOOLS)
    assert len(gate.upstream.got) == 1
    with pytest.raises(openai.RateLimitError):
        client.with_options(max_retries=2).chat.completions.create(model="m", messages=MESSAGES, tools=TOOLS)
    assert len(gate.upstream.got) == 4
    assert gate.recorded() == 0


def test_what_can_not_be_recorded_is_counted_and_passes(gate, client, wait_for):
    ask = client.chat.completions.create
    headers = {"x-aegis-point": "router"}
    gate.upstream.answer(gate.upstream.completion({"tool_calls": [call("refund")]}))
    ask(model="m", messages=MESSAGES, tools=TOOLS, extra_headers=headers)
    wait_for(lambda: gate.recorded() == 1)
    ask(model="another", messages=MESSAGES, tools=TOOLS, extra_headers=headers)
    more = [*TOOLS, {"type": "function", "function": {"name": "more", "parameters": {}}}]
    ask(model="m", messages=MESSAGES, tools=more, extra_headers=headers)
    gate.upstream.answer(gate.upstream.completion({"tool_calls": [call("refund"), call("search.web")]}))
    ask(model="m", messages=MESSAGES, tools=TOOLS, extra_headers=headers)
    gate.upstream.answer(gate.upstream.completion({"tool_calls": [call("dance")]}))
    ask(model="m", messages=MESSAGES, tools=TOOLS, extra_headers=headers)
    wait_for(lambda: gate.recorded("not_recorded") == 4)
    assert gate.recorded() == 1


def test_an_answer_whose_choice_is_left_out_has_the_reason_and_no_id(gate, wait_for, run_app):
    from aegis.serving import GatewayConfig, PointBook, ServeConfig, UpstreamConfig, make_app

    gate.upstream.answer(gate.upstream.completion({"tool_calls": [call("refund")]}))
    more = [*TOOLS, {"type": "function", "function": {"name": "more", "parameters": {}}}]
    another, other = {"model": "another", "tools": TOOLS}, {"model": "m", "tools": more}
    path, headers = "/v1/chat/completions", {"x-aegis-point": "router"}

    def ask(client, fields):
        got = client.post(path, json={"messages": MESSAGES, **fields}, headers=headers)
        assert got.content == gate.upstream.chunks[0]
        return got.headers.get("x-aegis-decision"), got.headers.get("x-aegis-not-recorded", "")

    id, why = ask(gate.through, {"model": "m", "tools": TOOLS})
    assert (bool(id), why) == (True, "")
    wait_for(lambda: gate.recorded() == 1)
    assert ask(gate.through, another) == (None, "point router belongs to m: what another decides is left out")
    assert ask(gate.through, other) == (None, "point router: other actions are on offer than those that it records")
    wait_for(lambda: gate.recorded("not_recorded") == 2)
    gate.running.stop()
    # A new server knows it, too, before it has opened the point.
    config = GatewayConfig((UpstreamConfig(f"{gate.direct.base_url}/v1"),))
    book = PointBook(gate.points._workspace.folder, {}, gateway=config)
    with httpx2.Client(base_url=run_app(make_app(book, ServeConfig({}, config))).url, trust_env=False) as client:
        assert ask(client, another)[0] is None
        assert ask(client, {"model": "m", "tools": TOOLS})[0]


def test_what_waits_is_recorded_when_the_server_stops(gate, client, recorded_at, run_app):
    gate.upstream.answer(gate.upstream.completion({"tool_calls": [call("refund")]}))
    body = json.dumps({"model": "m", "messages": MESSAGES, "tools": TOOLS})
    headers = {"x-aegis-point": "router"}
    assert [gate.through.post("/v1/chat/completions", content=body, headers=headers).status_code for _ in range(9)]
    gate.running.stop()
    assert len(recorded_at("router")) == 9
