"""What came of passed choices, reported by the response's id, and what the calls took."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from tests.serving.gateway.wire import CALL, TOOLS, TURNS

CHOOSE = {"model": "m", "messages": TURNS, "tools": TOOLS, "tool_choice": "required"}
HEADERS = {"x-aegis-point": "router", "x-aegis-episode": "customer 7"}
PATH = "/v1/chat/completions"


@pytest.fixture
def report(gate):
    return lambda **fields: gate.through.post("/v1/feedback", json=fields)


@pytest.fixture
def passed(gate, wait_for):
    """A recorded choice; returns the id of its response."""
    gate.upstream.answer(gate.upstream.completion({"tool_calls": [CALL]}, "tool_calls"))
    response = gate.through.post(PATH, json=CHOOSE, headers=HEADERS).json()["id"]
    wait_for(lambda: gate.recorded() == 1)
    return response


def test_feedback_comes_by_the_responses_id_in_parts_and_from_a_file(gate, passed, report, recorded_at, tmp_path):
    (made,) = recorded_at("router")
    place = {"point": "router", "decision": made.decision.id}
    assert report(id=passed, parts={"solved": 1.0}).json() == {"decisions": [place]}
    assert report(id=made.decision.id, point="router", parts={"minutes": -0.25}).json() == {"decisions": [place]}
    assert recorded_at("router")[0].outcome.reward == 0.75
    file = tmp_path / "late.jsonl"
    file.write_text(json.dumps({"response": passed, "reward": 2.0}) + "\n", "utf-8")
    said = CliRunner().invoke(app, ["report", "--file", str(file), "--workspace", str(tmp_path)])
    assert (said.exit_code, recorded_at("router")[0].outcome.reward) == (0, 2.0), said.output


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"id": "nobody", "reward": 1}, (404, "unknown_decision")),
        ({"id": "chatcmpl-1", "point": "nowhere", "reward": 1}, (404, "unknown_point")),
        ({"id": "chatcmpl-1", "reward": 1, "parts": {"a": 1}}, (400, "data")),
        ({"id": "chatcmpl-1", "status": "great"}, (422, "field")),
        ({"reward": 1}, (422, "field")),
    ],
)
def test_a_mistake_in_feedback_is_named(passed, report, fields, expected):
    response = report(**fields)
    assert (response.status_code, response.json()["error"]["type"]) == expected


def test_several_decisions_of_one_response_are_all_reported(gate, report, wait_for, recorded_at):
    enums = {"team": {"enum": ["sales", "help"]}, "urgent": {"enum": ["yes", "no"]}}
    form = {"type": "json_schema", "json_schema": {"name": "route", "schema": {"properties": enums}}}
    gate.upstream.answer(gate.upstream.completion({"content": '{"team": "help", "urgent": "no"}'}))
    gate.through.post(PATH, json={"model": "m", "messages": TURNS, "response_format": form})
    wait_for(lambda: gate.recorded() == 2)
    found = report(id="chatcmpl-1", reward=1.0).json()["decisions"]
    assert {one["point"] for one in found} == {"route_team", "route_urgent"}
    assert all(recorded_at(one["point"])[0].outcome.reward == 1.0 for one in found)
    bills = gate.through.get("/v1/savings").json()["points"]
    assert sum(bill["measured"]["upstream"]["calls"] for bill in bills.values()) == 1  # one request, not two


def test_savings_keep_what_was_measured_apart_from_what_is_estimated(assisted, wait_for, tmp_path):
    gate = assisted(CHOOSE)
    (tmp_path / "prices.toml").write_text('["m*"]\nread = 1e6\nwritten = 2e6\n', "utf-8")
    id = gate.through.post(PATH, json=CHOOSE, headers=HEADERS).json()["id"]
    wait_for(lambda: gate.recorded("answered") == 1)
    bill = gate.through.get("/v1/savings").json()["points"]["router"]
    upstream, estimated = bill["measured"]["upstream"], bill["estimated"]
    assert (upstream["calls"], upstream["read"], upstream["written"], upstream["dollars"]) == (1, 9, 3, 15.0)
    assert bill["measured"]["answered"] == 1
    assert 0 < bill["measured"]["answered_seconds"] < 60
    assert (estimated["calls"], estimated["dollars"], estimated["seconds"]) == (1, 15.0, upstream["seconds"])
    said = CliRunner().invoke(app, ["savings", "--workspace", str(tmp_path)]).output
    assert "  measured:   the model: 1 call, 9 tokens read, 3 written, $15.00" in said
    assert "  measured:   the HRM alone: 1 call" in said
    assert "  estimated:  these would have been, at the model's mean: 1 call, 9 tokens read" in said
    assert gate.through.post("/v1/feedback", json={"id": id, "reward": 1.0}).status_code == 200
    listed = CliRunner().invoke(app, ["savings", "--json", "--point", "router", "--workspace", str(tmp_path)]).output
    assert json.loads(listed)["router"]["estimated"]["written"] == 3


def test_savings_without_calls_or_prices_say_what_to_do(start, tmp_path):
    served = start()
    served.decide(decided="refund")
    said = CliRunner().invoke(app, ["savings", "--workspace", str(tmp_path)]).output
    assert "no calls: `aegis serve --upstream ADDRESS` counts them" in said
    assert "No prices: write" in said
