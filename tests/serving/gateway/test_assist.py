"""What an HRM answers in place of the upstream: in its form, recorded, and never where anything is in doubt."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import openai

from aegis.errors import StoreError
from aegis.serving.setting import PointConfig
from tests.serving.gateway.wire import CALL, TOOLS, TURNS

HEADERS = {"x-aegis-point": "router", "x-aegis-episode": "customer 7"}
CHOOSE: dict[str, Any] = {"model": "m", "messages": TURNS, "tools": TOOLS, "tool_choice": "required"}
PARAMETERS = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
SEARCHES: list[dict[str, Any]] = [
    {"type": "function", "function": {**tool["function"], "parameters": PARAMETERS}} for tool in TOOLS
]


def test_a_required_choice_is_answered_in_the_upstreams_form(assisted, recorded_at):
    gate = assisted(CHOOSE)
    with openai.OpenAI(base_url=f"{gate.url}/v1", api_key="sk", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(**CHOOSE, extra_headers=HEADERS)
        answer = raw.parse()
    (choice,) = answer.choices
    (called,) = choice.message.tool_calls
    assert (choice.finish_reason, called.function.arguments) == ("tool_calls", "{}")
    assert called.function.name in ("search", "refund")
    assert (answer.object, answer.model, answer.usage.total_tokens) == ("chat.completion", "m", 0)
    assert raw.headers["x-aegis-policy"] == "hrm@1"
    assert float(raw.headers["x-aegis-overhead-ms"]) > 0
    assert gate.upstream.got == []
    newest = recorded_at("router")[0].decision
    assert (newest.id, newest.policy, newest.episode) == (raw.headers["x-aegis-decision"], "hrm@1", "customer 7")
    assert answer.id == f"chatcmpl-{newest.id}"
    assert newest.action.name == called.function.name
    assert 'aegis_decisions_total{by="hrm",point="router"} 1.0' in gate.metrics()


def test_a_stream_was_asked_for_and_comes_with_usage(assisted):
    gate = assisted(CHOOSE)
    with openai.OpenAI(base_url=f"{gate.url}/v1", api_key="sk", max_retries=0) as client:
        options: Any = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = list(client.chat.completions.create(**CHOOSE, **options, extra_headers=HEADERS))
    *parts, last = chunks
    assert (last.choices, last.usage.total_tokens) == ([], 0)
    assert [part.choices[0].finish_reason for part in parts] == [None, None, "tool_calls"]
    pieces = [one for part in parts for one in part.choices[0].delta.tool_calls or ()]
    assert pieces[0].function.name in ("search", "refund")
    assert "".join(one.function.arguments for one in pieces) == "{}"
    assert gate.upstream.got == []


def test_for_a_tool_with_parameters_the_upstream_is_asked_with_that_tool(assisted, wait_for, recorded_at):
    body = CHOOSE | {"tools": SEARCHES}
    gate = assisted(body)
    gate.upstream.answer(gate.upstream.completion({"tool_calls": [CALL]}))
    response = gate.through.post("/v1/chat/completions", json=body, headers=HEADERS)
    (sent,) = (json.loads(got[3]) for got in gate.upstream.got)
    named = sent.pop("tool_choice")["function"]["name"]
    assert sent == {key: value for key, value in body.items() if key != "tool_choice"}
    assert (response.headers["x-aegis-policy"], response.content) == ("hrm@1", gate.upstream.chunks[0])
    wait_for(lambda: gate.recorded() == 2)
    newest = recorded_at("router")[0].decision
    assert (newest.policy, newest.action.name) == (("hrm@1", "refund") if named == "refund" else ("m", "refund"))


def test_every_decision_is_counted_once_by_who_made_it(assisted, wait_for, recorded_at):
    gate = assisted(CHOOSE | {"tools": SEARCHES})
    ask = lambda **more: gate.through.post("/v1/chat/completions", json=CHOOSE | more, headers=HEADERS)  # noqa: E731
    assert ask().headers["x-aegis-policy"] == "hrm@1"
    named = "refund" if "refund" in ask().text else "search"
    call = {**CALL, "function": {"name": named, "arguments": "{}"}}
    gate.upstream.answer(gate.upstream.completion({"tool_calls": [call]}))
    for _ in range(3):  # the HRM chooses the tool, and the upstream fills its arguments
        assert ask(tools=SEARCHES).headers["x-aegis-policy"] == "hrm@1"
    wait_for(lambda: gate.recorded() == 4)
    policies = [one.decision.policy for one in recorded_at("router")]
    assert sorted(policies) == ["hrm@1"] * 5 + ["m"]
    assert 'aegis_decisions_total{by="hrm",point="router"} 5.0' in gate.metrics()
    assert 'aegis_decisions_total{by="teacher",point="router"} 1.0' in gate.metrics()
    decided = gate.assistant._hear.__self__._metrics.describe()
    assert "6 decisions (5 by an HRM, 1 by a teacher)" in decided
    bill = gate.points.bills()["router"].measured
    assert (bill.answered, bill.forced, bill.upstream.calls) == (2, 3, 4)


def test_an_upstream_that_does_not_force_tools_gets_the_request_as_it_came(assisted):
    body = CHOOSE | {"tools": SEARCHES}
    gate = assisted(body)
    gate.upstream.answer({"error": {"message": "tool_choice: no"}}, 400)
    response = gate.through.post("/v1/chat/completions", json=body, headers=HEADERS)
    assert (response.status_code, response.content) == (400, gate.upstream.chunks[0])
    assert [json.loads(got[3])["tool_choice"] == "required" for got in gate.upstream.got] == [False, True]


def test_a_structured_output_is_answered_as_json(assisted):
    schema: dict[str, Any] = {"properties": {"team": {"enum": ["sales", 7]}}, "required": ["team"]}
    form = {"type": "json_schema", "json_schema": {"name": "route", "schema": schema}}
    body = {"model": "m", "messages": TURNS, "response_format": form}
    message = {"choices": [{"message": {"content": '{"team": 7}'}, "finish_reason": "stop"}]}
    gate = assisted(body, message, headers={})
    answer = gate.through.post("/v1/chat/completions", json=body).json()
    assert json.loads(answer["choices"][0]["message"]["content"]) in ({"team": "sales"}, {"team": 7})
    assert (answer["choices"][0]["finish_reason"], gate.upstream.got) == ("stop", [])
    # More than enums is asked for: only a language model can write that.
    schema["properties"]["why"] = {"type": "string"}
    assert gate.through.post("/v1/chat/completions", json=body).content == gate.upstream.chunks[0]


def test_a_registered_prompt_is_a_choice_among_words(assisted, recorded_at):
    points = {"triage": PointConfig(("urgent", "later"), prompt="Answer urgent  or later.")}
    messages = [{"role": "system", "content": "Answer urgent or later."}, TURNS[1]]
    body = {"model": "m", "messages": messages}
    message = {"choices": [{"message": {"content": " Urgent.\n"}, "finish_reason": "stop"}]}
    gate = assisted(body, message, headers={}, points=points)
    assert recorded_at("triage")[0].decision.action.name == "urgent"
    answer = gate.through.post("/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] in ("urgent", "later")
    assert answer.headers["x-aegis-point"] == "triage"
    assert gate.upstream.got == []
    other = {"model": "m", "messages": TURNS}
    assert "x-aegis-point" not in gate.through.post("/v1/chat/completions", json=other).headers


UNFIT: dict[str, dict[str, Any]] = {
    "several answers": {"n": 2},
    "probabilities": {"logprobs": True},
    "kept by the upstream": {"store": True},
    "another model": {"model": "another"},
    "another tool": {"tools": [*TOOLS, {"type": "function", "function": {"name": "new", "parameters": {}}}]},
    "no tool": {"tool_choice": "none"},
    "some tools": {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
}


def test_what_asks_for_more_than_the_choice_passes(assisted):
    gate = assisted(CHOOSE)
    for fields in UNFIT.values():
        response = gate.through.post("/v1/chat/completions", json=CHOOSE | fields, headers=HEADERS)
        assert response.content == gate.upstream.chunks[0]
        assert response.headers.get("x-aegis-policy") != "hrm@1"
    assert len(gate.upstream.got) == len(UNFIT)


def test_what_the_hrm_is_not_sure_of_passes_and_its_answer_stands_in_a_header(assisted, wait_for):
    gate = assisted(CHOOSE, points={"router": PointConfig(mode="assist", sure=1.0)})
    ask = lambda: gate.through.post("/v1/chat/completions", json=CHOOSE, headers=HEADERS)  # noqa: E731
    assert ask().content == gate.upstream.chunks[0]
    decider = gate.points.find("router")
    decider._steward.audit_rate = 1.0  # it answers audited decisions silently, so it is loaded
    ask()
    wait_for(lambda: decider._steward.silent is not None)
    gate.upstream.waits = 0.1
    heard = (ask().headers.get("x-aegis-silent", "") for _ in range(100))  # it stands there where it comes in time
    said = next(filter(None, heard)).split("; ")
    assert said[0] in ("refund", "search")
    assert said[1] == "policy=hrm@1"
    assert said[2].startswith("probability=0.")


def test_why_the_upstream_was_left_a_choice_is_recorded_and_shown(assisted, wait_for, tmp_path):
    from aegis.dashboard.decisions.decision import read_short
    from aegis.lifecycle import open_store
    from aegis.workspace import Workspace

    gate = assisted(CHOOSE, points={"router": PointConfig(mode="assist", sure=1.0)})
    response = gate.through.post("/v1/chat/completions", json=CHOOSE, headers=HEADERS)
    assert response.headers["x-aegis-policy"] == "m"
    wait_for(lambda: gate.recorded() == 2)
    place = Workspace(tmp_path).point("router")
    with open_store(place) as store:
        decision = store.recent(1)[0].decision
        (shown,) = read_short(store, place, [store.newest()])
    assert (decision.policy, decision.action.name) == ("m", "refund")
    assert decision.probabilities == tuple(float(name == "refund") for name in decision.actions)
    assert shown["deferred"] == "the HRM was not sure enough"


def test_drawn_audits_go_to_the_upstream_and_are_compared(assisted, wait_for, tmp_path):
    from aegis.lifecycle import open_store
    from aegis.store import LabelBook
    from aegis.workspace import Workspace

    gate = assisted(CHOOSE)
    gate.points.find("router")._steward.audit_rate = 1.0
    response = gate.through.post("/v1/chat/completions", json=CHOOSE, headers=HEADERS)
    assert (response.headers["x-aegis-policy"], response.content) == ("m", gate.upstream.chunks[0])
    with open_store(Workspace(tmp_path).point("router")) as store:
        wait_for(lambda: LabelBook(store.database).count("hrm@1") == 1)


def test_whatever_goes_wrong_beside_the_hrm_the_upstream_answers(assisted, monkeypatch, recorded_at):
    gate = assisted(CHOOSE)

    def refuse(*args, **kwargs):
        raise StoreError("database or disk is full")

    def wait(*args, **kwargs):
        time.sleep(0.4)

    for name, fault in (("_record", refuse), ("_compose", refuse), ("_fits", wait)):
        with monkeypatch.context() as patch:
            patch.setattr(f"aegis.serving.gateway.assist.{name}", fault)
            patch.setattr(gate.assistant, "_seconds", 0.2)
            response = gate.through.post("/v1/chat/completions", json=CHOOSE, headers=HEADERS)
        assert (response.status_code, response.content) == (200, gate.upstream.chunks[0])
        assert response.headers["x-aegis-policy"] == "m"
    assert len(gate.upstream.got) == 3


def test_time_that_is_up_ends_a_recording_only_before_it_is_written(start, recorded_at):
    """Else the upstream would decide, and the record would say that the HRM had."""
    from aegis.serving.gateway.assist import _until_kept

    decider = start().points.find("support-router")
    began, goes_on = threading.Event(), threading.Event()

    def hold():
        began.set()
        goes_on.wait(60)

    async def leave(recording):
        task = asyncio.ensure_future(_until_kept([recording]))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0.01)
        goes_on.set()
        return (await asyncio.gather(task, return_exceptions=True))[0]

    decider._journal.begin(hold)
    assert began.wait(60)
    assert isinstance(asyncio.run(leave(decider.record_soon({"n": 1}, "refund"))), asyncio.CancelledError)
    assert decider._journal.do(lambda: decider._store.count()) == 0
    began.clear()
    goes_on.clear()
    run = decider._journal._run
    decider._journal._run = lambda work: (hold(), run(work))[1]
    recording = decider.record_soon({"n": 2}, "refund")
    assert began.wait(60)
    assert asyncio.run(leave(recording)) is None
    assert recording.result().id == recorded_at("support-router")[0].decision.id


def test_where_there_are_tokens_only_who_may_decide_is_answered_by_the_hrm(assisted, tmp_path):
    from aegis.serving import TokenBook
    from aegis.serving.access import add_token

    secret, other = (add_token(tmp_path / "tokens", scope, [scope]) for scope in ("decide", "manage"))
    gate = assisted(CHOOSE, tokens=TokenBook.read(tmp_path / "tokens", {}), manage=other)
    for sent, policy in ((None, "m"), (other, "m"), (secret, "hrm@1")):
        headers = HEADERS | ({"x-aegis-token": sent} if sent else {})
        response = gate.through.post("/v1/chat/completions", json=CHOOSE, headers=headers)
        assert response.headers["x-aegis-policy"] == policy
    assert all(b"x-aegis-token" not in dict(got[2]) for got in gate.upstream.got)
