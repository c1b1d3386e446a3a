"""`aegis.Client` against a real server: the Decider's methods, sync and async, its errors, its patience."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from werkzeug import Request, Response

import aegis
from aegis.client import Client
from aegis.errors import ConfigError, DataError, MissingPackageError, RequestError, StoreError, TeacherError

ANSWER = {
    "id": "d1",
    "point": "router",
    "action": "refund",
    "probabilities": {"refund": 0.75, "answer": 0.25},
    "policy": "hrm@1",
    "episode": "e",
    "propensity": None,
    "out_of_distribution": False,
}


def fault(kind, **more):
    return {"error": {"type": kind, "message": f"said: {kind}", **more}}


@pytest.fixture
def client(httpserver):
    with aegis.Client("router", url=httpserver.url_for("/"), token="t" * 20) as client:
        yield client


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr("aegis.client.exchange._FIRST_PAUSE_SECONDS", 0.001)


def sent(httpserver):
    return [json.loads(request.get_data()) for request, _ in httpserver.log]


def test_an_offer_that_is_one_text_is_refused_before_anything_is_sent(client, httpserver):
    with pytest.raises(DataError, match="give a list of names"):
        client.decide("a text", offered="refund")
    assert not httpserver.log


def test_it_decides_and_reports_as_a_decider(client, httpserver):
    httpserver.expect_request(
        "/v1/decisions", "POST", headers={"authorization": "Bearer " + "t" * 20}
    ).respond_with_json(ANSWER)
    httpserver.expect_request("/v1/outcomes", "POST").respond_with_json({"decision": "d1"})
    decided = client.decide({"ticket": "broken"}, episode="e")
    assert decided == aegis.Decided("d1", "refund", ANSWER["probabilities"], "hrm@1", "e", None, False)
    client.report(decided, 1.0)
    client.report("d1", parts={"solved": 1}, detail="well", result={"order": 7})
    client.record("a text", "answer", offered=("refund", "answer"))
    assert sent(httpserver) == [
        {"point": "router", "state": {"ticket": "broken"}, "episode": "e"},
        {"point": "router", "decision": "d1", "reward": 1.0, "status": "ok", "detail": "", "result": {}},
        {"point": "router", "decision": "d1", "parts": {"solved": 1}, "status": "ok", "detail": "well"}
        | {"result": {"order": 7}},
        {"point": "router", "state": "a text", "offered": ["refund", "answer"], "decided": "answer"},
    ]


def test_it_does_the_same_in_an_event_loop(httpserver):
    httpserver.expect_request("/v1/decisions").respond_with_json(ANSWER)
    httpserver.expect_request("/v1/outcomes").respond_with_json({"decision": "d1"})

    async def run():
        async with Client("router", url=httpserver.url_for("/")) as client:
            decided = await asyncio.gather(*(client.adecide({"n": n}) for n in range(5)))
            await client.areport(decided[0], reward=0.5)
            return decided

    assert [one.action for one in asyncio.run(run())] == ["refund"] * 5
    assert sent(httpserver)[-1]["reward"] == 0.5


@pytest.mark.parametrize("asynchronous", [False, True])
def test_where_nobody_decides_there_its_teacher_decides_here(httpserver, asynchronous):
    asked = []

    def answer(request: Request) -> Response:
        decided = json.loads(request.get_data()).get("decided")
        body = ANSWER | {"action": decided} if decided else fault("nobody_decides", actions=["refund", "answer"])
        return Response(json.dumps(body), 200 if decided else 503)

    def teacher(state, actions):
        asked.append((state, actions))
        return actions[1]

    async def ateacher(state, actions):
        return teacher(state, actions)

    httpserver.expect_request("/v1/decisions").respond_with_handler(answer)
    with Client("router", url=httpserver.url_for("/"), teacher=ateacher if asynchronous else teacher) as client:
        decided = asyncio.run(client.adecide("x")) if asynchronous else client.decide("x")
    assert decided.action == "answer"
    assert asked == [("x", ("refund", "answer"))]
    with Client("router", url=httpserver.url_for("/")) as client, pytest.raises(TeacherError, match="nobody_decides"):
        client.decide("x")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, DataError),
        (422, DataError),
        (401, ConfigError),
        (404, StoreError),
        (502, TeacherError),
        (500, RequestError),
    ],
)
def test_errors_are_those_of_a_decider(client, httpserver, status, error):
    httpserver.expect_request("/v1/decisions").respond_with_json(fault("kind"), status)
    with pytest.raises(error, match="said: kind"):
        client.decide("x")
    assert len(httpserver.log) == 1


def test_what_the_server_did_not_take_on_is_sent_again(client, httpserver):
    for _ in range(2):
        httpserver.expect_ordered_request("/v1/decisions").respond_with_json(fault("busy"), 503, {"retry-after": "0"})
    httpserver.expect_ordered_request("/v1/decisions").respond_with_json(ANSWER)
    assert client.decide("x").id == "d1"
    assert len(httpserver.log) == 3


def test_it_gives_up_in_the_end_and_waits_for_no_hour(client, httpserver):
    httpserver.expect_request("/v1/decisions").respond_with_json(fault("busy"), 503, {"retry-after": "0"})
    with pytest.raises(RequestError, match="said: busy"):
        client.decide("x")
    assert len(httpserver.log) == 4
    httpserver.clear()
    httpserver.expect_request("/v1/decisions").respond_with_json(fault("rate"), 429, {"retry-after": "3600"})
    with pytest.raises(RequestError, match="said: rate"):
        client.decide("x")
    assert len(httpserver.log) == 1


def test_a_server_that_is_not_there_or_is_none_is_named(httpserver):
    with Client("router", url="http://127.0.0.1:9") as client, pytest.raises(RequestError, match="can't be reached"):
        client.report("d1", 1.0)
    httpserver.expect_request("/v1/decisions").respond_with_data("<html>", 418)
    with Client("router", url=httpserver.url_for("/")) as client, pytest.raises(RequestError, match="418: <html>"):
        client.decide("x")


def test_what_is_no_json_is_refused_before_it_is_sent(client, httpserver):
    for state in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises(DataError, match="must be JSON"):
            client.decide(state)
    assert httpserver.log == []


def test_without_its_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(MissingPackageError, match=r"aegis-hrm\[online\]"):
        Client("router")
