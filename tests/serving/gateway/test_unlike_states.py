"""States out of distribution that go to the upstream are counted at their points, with those that the HRM decides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aegis.lifecycle import open_store, read_drift_count
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.types import Choice
from aegis.workspace import Workspace
from tests.serving.gateway.wire import CALL, TOOLS, TURNS

HEADERS = {"x-aegis-point": "router"}


class Seeing:
    """An HRM that takes the second action, and knows every state but odd ones, in which it knows only the tone."""

    name, parameters = "hrm@1", 0

    def decide(self, states, actions):
        row, names = (0.1, 0.9), actions.names
        unlike = ["odd" in json.dumps(state) and "kind" not in names for state in states]
        return [Choice(row, names[1], self.name, "hrm", out_of_distribution=one) for one in unlike]


@pytest.fixture
def seeing(monkeypatch):
    monkeypatch.setattr(VersionLoader, "_load", lambda self, serving, progress: Seeing())


@pytest.fixture
def counted(tmp_path):
    """Return what ends a gateway and reads the count of a point."""

    def read(gate, point):
        gate.running.stop()
        gate.points.close()
        with open_store(Workspace(tmp_path).point(point)) as store:
            return read_drift_count(store, "hrm@1")

    return read


def say(body, words):
    return body | {"messages": [TURNS[0], {"role": "user", "content": words}]}


@pytest.mark.usefixtures("seeing")
def test_what_the_hrm_hands_over_is_counted_when_the_upstream_has_decided(assisted, counted, wait_for):
    body = {"model": "m", "messages": TURNS, "tools": TOOLS, "tool_choice": "required"}
    gate = assisted(body, headers=HEADERS)
    by = []
    for n in range(12):
        asked = say(body, f"{'odd' if n % 3 == 0 else 'plain'} {n}")
        by.append(gate.through.post("/v1/chat/completions", json=asked, headers=HEADERS).headers["x-aegis-policy"])
    assert by == ["m", "hrm@1", "hrm@1"] * 4
    wait_for(lambda: gate.recorded() == 5)
    assert counted(gate, "router") == (4, 12)


@pytest.mark.usefixtures("seeing")
def test_what_the_upstream_decides_otherwise_than_it_was_told_is_counted(assisted, counted, wait_for):
    parameters = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
    tools = [{"type": "function", "function": {**tool["function"], "parameters": parameters}} for tool in TOOLS]
    body = {"model": "m", "messages": TURNS, "tools": tools, "tool_choice": "required"}
    gate = assisted(body, headers=HEADERS)
    other = {"id": "c", "type": "function", "function": {"name": "search", "arguments": '{"q": ""}'}}
    told = []
    for one in (CALL, other):
        gate.upstream.answer(gate.upstream.completion({"tool_calls": [one]}, "tool_calls"))
        gate.through.post("/v1/chat/completions", json=say(body, "plain"), headers=HEADERS)
        told.append(json.loads(gate.upstream.got[-1][3])["tool_choice"]["function"]["name"])
    assert len(set(told)) == 1  # the HRM takes the same tool, the upstream follows once
    wait_for(lambda: gate.recorded() == 3)
    assert counted(gate, "router") == (0, 2)


@pytest.mark.usefixtures("seeing")
def test_a_request_of_two_points_is_counted_at_both_though_one_hands_it_over(assisted, counted, wait_for, promote):
    schema: dict[str, Any] = {
        "properties": {"team": {"enum": ["sales", "other"]}, "tone": {"enum": ["kind", "terse"]}},
        "required": ["team", "tone"],
    }
    form = {"type": "json_schema", "json_schema": {"name": "route", "schema": schema}}
    body = {"model": "m", "messages": TURNS, "response_format": form}
    content = json.dumps({"team": "sales", "tone": "kind"})
    gate = assisted(body, {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}, headers={})
    wait_for(lambda: gate.recorded() == 2)
    assert sorted(gate.points.names()) == ["route_team", "route_tone"]
    promote("route_tone")
    second = gate.points.find("route_tone")
    wait_for(lambda: second._steward.policy.name == "hrm@1")
    second._steward.audit_rate = 0.0
    for n in range(6):
        gate.through.post("/v1/chat/completions", json=say(body, f"{'odd' if n % 2 else 'plain'} {n}"))
    assert len(gate.upstream.got) == 3
    wait_for(lambda: gate.recorded() == 8)
    assert counted(gate, "route_team") == (3, 6)
    assert counted(gate, "route_tone") == (0, 6)
