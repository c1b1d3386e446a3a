"""Decisions and outcomes over HTTP: what is recorded, what is answered, what is refused and with which status."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest

import aegis
from aegis.door.teacher import AbsentTeacher
from aegis.errors import ConfigError, TeacherError, TeacherMismatchError
from aegis.research import RESEARCH_ACTIONS
from aegis.serving import LimitConfig, PointBook, ServeConfig, TokenBook
from aegis.serving.access import Token
from aegis.serving.setting import PointConfig
from aegis.testing import ScriptedTeacher

ACTIONS = ("refund", "escalate", "answer")
SCRIPTED = ServeConfig({"support-router": PointConfig(ACTIONS, "scripted")})


def fault(response):
    return response.status_code, response.json()["error"]["type"]


def test_a_decision_that_a_client_made_is_on_the_disk_when_it_is_answered(start, point_store):
    served = start()
    response = served.decide({"ticket": "my broken phone"}, decided="refund", episode="customer 7")
    answer = response.json()
    assert response.status_code == 200
    assert (answer["point"], answer["action"], answer["policy"]) == ("support-router", "refund", "gpt")
    decision = point_store.get(answer["id"]).decision
    assert (decision.state, decision.episode, decision.policy) == ({"ticket": "my broken phone"}, "customer 7", "gpt")
    assert decision.probabilities == (1.0, 0.0, 0.0)
    assert 'aegis_decisions_total{by="client",point="support-router"} 1.0' in served.metrics()


def test_without_a_teacher_and_an_hrm_the_answer_tells_the_client_to_decide(start, point_store):
    served = start()
    response = served.decide()
    assert fault(response) == (503, "nobody_decides")
    assert '{"decided": ACTION}' in response.json()["error"]["message"]
    assert "retry-after" not in response.headers  # trying again would not help
    assert point_store.count() == 0


def test_a_configured_teacher_decides(start, point_store):
    served = start(SCRIPTED)
    answer = served.decide("where is my order").json()
    assert (answer["policy"], answer["action"] in ACTIONS) == ("scripted", True)
    assert point_store.get(answer["id"]).decision.state == {"text": "where is my order"}
    assert 'aegis_decisions_total{by="teacher",point="support-router"} 1.0' in served.metrics()


def test_a_configured_teacher_that_a_point_does_not_belong_to_is_named_at_the_start(start, tmp_path):
    start().running.stop()
    with pytest.raises(TeacherMismatchError, match="belongs to the teacher 'gpt'"):
        PointBook(tmp_path, SCRIPTED.points).open_configured()
    with pytest.raises(ConfigError, match="has no actions"):
        PointBook(tmp_path, {"new": PointConfig()}).open_configured()


def test_an_outcome_is_reported_whole_or_in_parts_at_any_time(start, point_store):
    served = start()
    id = served.decide(decided="refund").json()["id"]

    def report(**fields):
        return served.client.post("/v1/outcomes", json={"point": "support-router", "decision": id, **fields})

    assert report(parts={"solved": 1.0}).json() == {"decision": id}
    assert report(parts={"minutes": -0.25}, detail="took long").status_code == 200
    outcome = point_store.get(id).outcome
    assert (outcome.reward, outcome.components) == (0.75, {"solved": 1.0, "minutes": -0.25})
    assert report(reward=0.5, result={"order": 7}).status_code == 200
    assert (point_store.get(id).outcome.reward, point_store.get(id).outcome.result) == (0.5, {"order": 7})
    assert fault(report(reward=1.0, parts={"solved": 1.0})) == (400, "data")
    assert fault(report(reward=1.0, status="unknown")) == (400, "data")
    assert point_store.get(id).outcome.reward == 0.5


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/decisions", {"point": "nowhere", "state": {"n": 1}}, (404, "unknown_point")),
        ("/v1/decisions", {"point": "../../etc", "state": {"n": 1}}, (404, "unknown_point")),
        ("/v1/decisions", {"point": "support-router", "state": {"n": 1}, "decided": "dance"}, (409, "unknown_action")),
        ("/v1/decisions", {"point": "support-router", "state": 7}, (422, "field")),
        ("/v1/decisions", {"point": "support-router", "state": {}}, (400, "data")),
        ("/v1/decisions", {"point": "support-router", "state": " ", "decided": "refund"}, (400, "data")),
        ("/v1/decisions", {"point": "support-router", "state": "x", "offered": ["dance"]}, (409, "unknown_action")),
        ("/v1/decisions", {"point": "support-router", "state": "x", "offered": []}, (422, "field")),
        ("/v1/decisions", {"point": "support-router", "state": "x", "offered": ["refund"] * 2}, (400, "data")),
        ("/v1/decisions", {"point": "support-router"}, (422, "field")),
        ("/v1/decisions", {"point": "support-router", "state": {"n": 1}, "extra": 1}, (422, "field")),
        ("/v1/decisions", {"point": "support-router", "state": {"n": 1}, "episode": "\ud800"}, (422, "field")),
        ("/v1/outcomes", {"point": "support-router", "decision": "nobody", "reward": 1}, (404, "unknown_decision")),
        ("/v1/outcomes", {"point": "support-router", "decision": "x", "status": "great"}, (422, "field")),
        ("/v1/nothing", {}, (404, "route")),
        ("/health", {}, (405, "route")),
    ],
)
def test_a_mistake_is_named_with_its_status(start, path, body, expected):
    response = start().client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    assert fault(response) == expected, response.text


def test_a_wrong_route_or_method_is_answered_with_the_routes_there_are(start):
    served = start()
    for response in (served.client.post("/v1/decision", json={}), served.client.get("/v1/decisions")):
        message = response.json()["error"]["message"]
        assert f"{response.request.method} '{response.request.url.path}': no such route" in message
        assert "POST /v1/decisions, POST /v1/outcomes" in message
        assert message.endswith("GET /openapi.json")
    message = served.client.post("/v1/chat/completions", json={}).json()["error"]["message"]
    assert "no such route: requests to a language model are passed on with --upstream URL" in message


def test_actions_that_are_not_on_offer_are_neither_decided_nor_recorded(start, point_store):
    served = start(SCRIPTED)
    answer = served.decide(offered=["refund", "answer"]).json()
    assert set(answer["probabilities"]) == {"refund", "answer"}
    assert point_store.get(answer["id"]).decision.actions == ("refund", "answer")
    refused = served.decide(decided="escalate", offered=["refund", "answer"])
    assert fault(refused) == (400, "data")
    assert served.decide(decided="escalate", offered=["escalate"]).json()["action"] == "escalate"
    with aegis.Client("support-router", url=served.url) as client:
        decided = client.decide("a text", offered=("answer", "refund"))
    assert point_store.get(decided.id).decision.actions == ("refund", "answer")


def test_a_teacher_that_fails_is_a_bad_gateway_and_others_are_not_disturbed(start, monkeypatch):
    served = start(SCRIPTED)

    def fail(self, states, actions):
        raise TeacherError("the endpoint answers 500")

    with monkeypatch.context() as patch:
        patch.setattr(ScriptedTeacher, "decide", fail)
        response = served.decide()
    assert fault(response) == (502, "teacher")
    assert served.decide().status_code == 200


def test_too_many_at_once_and_too_slow_a_decision_are_refused_with_what_to_do(start, monkeypatch, wait_for):
    limits = LimitConfig(max_waiting=1, decision_seconds=0.5)
    served, goes_on = start(ServeConfig(SCRIPTED.points, limits=limits)), threading.Event()
    real = ScriptedTeacher.decide

    def wait(self, states, actions):
        goes_on.wait(60)
        return real(self, states, actions)

    monkeypatch.setattr(ScriptedTeacher, "decide", wait)
    slow = []
    thread = threading.Thread(target=lambda: slow.append(served.decide()))
    thread.start()
    wait_for(lambda: (first := served.decide()).status_code == 503 and first.headers["retry-after"] == "1")
    thread.join()
    assert {fault(one) for one in slow} <= {(504, "slow"), (503, "busy")}
    goes_on.set()
    wait_for(lambda: served.decide().status_code == 200)


def test_an_hrm_that_is_promoted_decides_and_its_models_are_listed(start, promote, wait_for):
    served = start()
    served.decide(decided="refund")
    assert promote() == "hrm@1"
    wait_for(lambda: served.decide().status_code == 200)
    answer = served.decide({"ticket": "another"}).json()
    assert (answer["policy"], set(answer["probabilities"])) == ("hrm@1", set(ACTIONS))
    assert 'by="hrm"' in served.metrics()
    (model,) = served.client.get("/v1/models").json()["data"]
    assert (model["id"], model["object"], model["serves"]) == ("support-router/hrm@1", "model", True)
    assert served.client.get("/v1/points/support-router/models").json()["data"] == [model]
    assert fault(served.client.get("/v1/points/nowhere/models")) == (404, "unknown_point")


def test_points_and_status_tell_where_each_point_stands(start):
    served = start()
    served.decide(decided="refund")
    (point,) = served.client.get("/v1/points").json()["points"]
    assert (point["name"], point["phase"], point["teacher"], point["decisions"]) == ("support-router", 1, "gpt", 1)
    assert point["actions"] == {"refund": 1}
    status = served.client.get("/v1/status").json()
    assert status["points"]["support-router"]["collected"] == 1
    assert served.client.get("/health").json() == {"status": "ok"}


def test_the_openapi_document_shows_each_route_its_token_and_its_faults(start):
    assert "security" not in start().client.get("/openapi.json").json()["paths"]["/v1/decisions"]["post"]
    document = start(tokens=TokenBook([Token("owner", "0" * 64, frozenset({"manage"}))])).client.get("/openapi.json")
    paths = document.json()["paths"]
    assert set(paths) >= {"/v1/decisions", "/v1/outcomes", "/v1/status", "/v1/points", "/v1/models", "/health"}
    decide = paths["/v1/decisions"]["post"]
    assert decide["security"] == [{"HTTPBearer": []}]
    assert {"200", "400", "401", "404", "413", "422", "429", "502", "503", "504"} <= set(decide["responses"])
    assert "FaultAnswer" in decide["responses"]["422"]["content"]["application/json"]["schema"]["$ref"]


def test_a_point_without_a_teacher_has_a_stand_in_that_decides_nothing():
    with pytest.raises(TeacherError, match="decide by gpt"):
        AbsentTeacher("gpt", "x").decide([{}], RESEARCH_ACTIONS)


def test_the_pages_example_of_the_client_runs(start, point_store, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "serve.md").read_text("utf-8")
    (example,) = re.findall(r"^```py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    monkeypatch.setitem(aegis.Client.__init__.__kwdefaults__, "url", start().url)
    exec(compile(example, "docs/serve.md", "exec"), {"__name__": "example"})
    (recorded,) = point_store.recent(10)
    assert (recorded.decision.action.name, recorded.outcome.reward) == ("refund", 1.0)


def test_the_client_decides_by_its_teacher_until_the_hrm_does(start, promote, wait_for, point_store):
    served = start()
    with aegis.Client("support-router", url=served.url, teacher=lambda state, actions: actions[2]) as client:
        decided = client.decide({"ticket": "where is it"}, episode="customer 7")
        client.report(decided, parts={"solved": 1.0})
        assert (decided.action, decided.policy, decided.episode) == ("answer", "gpt", "customer 7")
        assert point_store.get(decided.id).outcome.reward == 1.0
        promote()
        wait_for(lambda: client.decide("x").policy == "hrm@1")


@pytest.mark.parametrize("depth", [100, 480, 100_000])
def test_a_state_that_nests_too_deeply_is_refused(start, point_store, depth):
    served = start()
    body = '{"point": "support-router", "decided": "refund", "state": {"a": %s}}' % ("[" * depth + "]" * depth)
    response = served.client.post("/v1/decisions", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    assert "deep" in response.json()["error"]["message"]
    assert point_store.count() == 0


def test_a_body_that_is_no_text_is_named(start):
    response = start().client.post(
        "/v1/decisions", content=b'{"state": "\xff"}', headers={"content-type": "application/json"}
    )
    assert (response.status_code, response.json()["error"]["message"][:5]) == (400, "body:")


def test_a_report_of_no_part_is_refused(start):
    served = start()
    made = served.decide(decided="refund").json()["id"]
    asked = {"point": "support-router", "decision": made, "parts": {}}
    assert served.client.post("/v1/outcomes", json=asked).status_code == 422
