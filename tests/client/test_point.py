"""`aegis.Client` against a real server: the Decider's methods, sync and async, its errors, its patience."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

import numpy as np
import pytest
from werkzeug import Request, Response

import aegis
from aegis.client import Client
from aegis.errors import ConfigError, DataError, MissingPackageError, RequestError, StoreError, TeacherError

ANSWER: dict[str, Any] = {
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
        {"point": "router", "state": {"text": "a text"}, "offered": ["refund", "answer"], "decided": "answer"},
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


def answer(request: Request) -> Response:
    """Answer as a point that its clients decide."""
    decided = json.loads(request.get_data()).get("decided")
    body = ANSWER | {"action": decided} if decided else fault("nobody_decides", actions=["refund", "answer"])
    return Response(json.dumps(body), 200 if decided else 503)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_where_nobody_decides_there_its_teacher_decides_here(httpserver, asynchronous):
    asked = []

    def teacher(state, actions):
        asked.append((state, actions))
        return actions[1]

    async def ateacher(state, actions):
        return teacher(state, actions)

    httpserver.expect_request("/v1/decisions").respond_with_handler(answer)
    with Client("router", url=httpserver.url_for("/"), teacher=ateacher if asynchronous else teacher) as client:
        decided = asyncio.run(client.adecide("x")) if asynchronous else client.decide("x")
    assert decided.action == "answer"
    assert asked == [({"text": "x"}, ("refund", "answer"))]  # as the teacher of a Decider is asked
    with Client("router", url=httpserver.url_for("/")) as client, pytest.raises(TeacherError, match="nobody_decides"):
        client.decide("x")


async def decide_later(state, actions):
    return {"answer": 1.0}


@pytest.mark.parametrize("teacher", [lambda state, actions: [0.2, 0.8], decide_later])
def test_a_teacher_answers_as_that_of_a_decider(httpserver, teacher):
    httpserver.expect_request("/v1/decisions").respond_with_handler(answer)
    with Client("router", url=httpserver.url_for("/"), teacher=teacher) as client:
        assert client.decide("x").action == "answer"

    async def decide_in_a_loop():
        with Client("router", url=httpserver.url_for("/"), teacher=teacher) as client:
            return client.decide("x").action

    assert asyncio.run(decide_in_a_loop()) == "answer"


@pytest.mark.parametrize("answered", [None, ["x", "y"], "dance"])
def test_a_teacher_that_names_no_action_is_named(httpserver, answered):
    httpserver.expect_request("/v1/decisions").respond_with_handler(answer)
    client = Client("router", url=httpserver.url_for("/"), teacher=lambda state, actions: answered)
    with client, pytest.raises(TeacherError, match=r"answered .*: return one of refund, answer, or probabilities"):
        client.decide("x")
    assert len(httpserver.log) == 1


def test_a_teacher_that_changes_its_state_changes_nothing_else(httpserver):
    def teacher(state, actions):
        state["n"].append(2)
        return "answer"

    httpserver.expect_request("/v1/decisions").respond_with_handler(answer)
    with Client("router", url=httpserver.url_for("/"), teacher=teacher) as client:
        client.decide({"n": [1]})
    assert [one["state"] for one in sent(httpserver)] == [{"n": [1]}] * 2


@pytest.mark.parametrize("state", [None, 5, [], {"a": json.loads("[" * 480 + "]" * 480)}])
def test_a_state_that_a_decider_refuses_is_not_sent(client, httpserver, state):
    with pytest.raises(DataError, match="a state"):
        client.decide(state)
    assert not httpserver.log


@pytest.mark.parametrize(
    "report",
    [{"parts": {}}, {"reward": True}, {"reward": "1"}, {"detail": None}, {"result": [1]}, {"parts": [("a", 1)]}],
)
def test_a_report_that_a_decider_refuses_is_not_sent(client, httpserver, report):
    with pytest.raises(DataError, match="report: "):
        client.report("d1", **report)
    with pytest.raises(DataError, match="report: give what decide"):
        client.report(None, 1.0)
    assert not httpserver.log


def test_what_a_decider_takes_is_taken(client, httpserver):
    httpserver.expect_request("/v1/decisions").respond_with_json(ANSWER)
    httpserver.expect_request("/v1/outcomes").respond_with_json({"decision": "d1"})
    client.report(client.decide([1], episode=""), np.float32(0.5))
    assert (sent(httpserver)[0], sent(httpserver)[1]["reward"]) == ({"point": "router", "state": {"value": [1]}}, 0.5)
    with pytest.raises(DataError, match="action=None"):
        client.record("x", None)
    with pytest.raises(DataError, match="episode=5: must be a text"):
        client.decide("x", episode=5)


def test_a_client_that_is_closed_says_so(client, httpserver):
    client.close()
    with pytest.raises(RequestError, match="the client of point 'router' is closed: make a new one"):
        client.decide("x")

    async def ask_closed():
        async with Client("router", url=httpserver.url_for("/")) as client:
            httpserver.expect_request("/v1/decisions").respond_with_json(ANSWER)
            await client.adecide("x")
        await client.adecide("x")

    with pytest.raises(RequestError, match="is closed"):
        asyncio.run(ask_closed())


def test_a_token_that_no_header_can_carry_is_refused():
    with pytest.raises(ConfigError, match="token: has characters that no header can carry"):
        Client("router", token="ü")


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


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_that_names_no_time_is_asked_again(client, httpserver, status):
    httpserver.expect_ordered_request("/v1/decisions").respond_with_data("busy", status)
    httpserver.expect_ordered_request("/v1/decisions").respond_with_json(ANSWER)
    assert client.decide("x").id == "d1"


def test_pauses_grow_and_are_drawn(client, httpserver, monkeypatch):
    waited = []
    monkeypatch.setattr("aegis.client.point.time.sleep", waited.append)
    httpserver.expect_request("/v1/decisions").respond_with_data("busy", 503)
    with pytest.raises(RequestError, match="status 503: busy"):
        client.decide("x")
    assert [0.00075 < pause / 2**n < 0.00125 for n, pause in enumerate(waited)] == [True] * 3


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


def test_a_server_that_is_slow_is_named_so(httpserver):
    release = threading.Event()
    httpserver.expect_request("/v1/decisions").respond_with_handler(lambda request: Response(str(release.wait(10))))
    with Client("router", url=httpserver.url_for("/"), timeout_seconds=0.05) as client:
        with pytest.raises(RequestError, match=r"did not answer in time .*timeout_seconds"):
            client.decide("x")
        release.set()
    assert len(httpserver.log) <= 1, "a decision may be recorded already, so it is not asked for again"


def test_an_answer_of_another_program_is_refused(client, httpserver):
    httpserver.expect_request("/v1/status").respond_with_data("<html>")
    with pytest.raises(RequestError, match="none of `aegis serve`: <html>"):
        client.status()


def both(httpserver, method, *arguments, **named):
    """Return what a method answers, and its async twin."""

    async def run():
        async with Client("router", url=httpserver.url_for("/")) as client:
            return await getattr(client, f"a{method}")(*arguments, **named)

    with Client("router", url=httpserver.url_for("/")) as client:
        return [getattr(client, method)(*arguments, **named), asyncio.run(run())]


def test_feedback_goes_by_the_id_of_a_decision_or_a_response(httpserver):
    places = [{"point": "router", "decision": "d1"}, {"point": "triage", "decision": "d2"}]
    httpserver.expect_request("/v1/feedback", "POST").respond_with_json({"decisions": places})
    given = both(httpserver, "feedback", "chatcmpl-1", parts={"solved": 1.0}, detail="days later")
    assert given == [[("router", "d1"), ("triage", "d2")]] * 2
    body = {"id": "chatcmpl-1", "status": "ok", "parts": {"solved": 1.0}, "detail": "days later", "result": {}}
    assert sent(httpserver) == [body, body]


def test_feedback_on_an_unknown_id_says_so(client, httpserver):
    httpserver.expect_request("/v1/feedback").respond_with_json(fault("unknown_decision"), 404)
    with pytest.raises(StoreError, match="unknown_decision"):
        client.feedback("nobody", 1.0)


@pytest.mark.parametrize("method", ["status", "savings"])
def test_it_shows_where_its_point_stands_and_what_was_saved(httpserver, method):
    httpserver.expect_request(f"/v1/{method}", "GET").respond_with_json({"points": {"router": {"n": 1}, "other": {}}})
    assert both(httpserver, method) == [{"n": 1}, {"n": 1}]
    with Client("third", url=httpserver.url_for("/")) as client, pytest.raises(StoreError, match="router, other"):
        getattr(client, method)()


def test_it_lists_the_hrms_of_its_point(httpserver):
    httpserver.expect_request("/v1/points/router/models", "GET").respond_with_json({"data": [{"id": "router/hrm@1"}]})
    assert both(httpserver, "models") == [[{"id": "router/hrm@1"}]] * 2


def test_a_decision_made_here_is_recorded_in_an_event_loop_too(httpserver):
    httpserver.expect_request("/v1/decisions").respond_with_json(ANSWER)
    assert both(httpserver, "record", "x", "refund")[1].id == "d1"
    assert sent(httpserver) == [{"point": "router", "state": {"text": "x"}, "decided": "refund"}] * 2


def test_what_is_no_json_is_refused_before_it_is_sent(client, httpserver):
    for state in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises(DataError, match="must be JSON"):
            client.decide(state)
    assert httpserver.log == []


def test_without_its_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(MissingPackageError, match=r"aegis-hrm\[online\]"):
        Client("router")
