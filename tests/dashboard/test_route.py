"""What the dashboard's routes show, and what its owner may do there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry
from aegis.research import ApprovalQueue, Inbox
from aegis.research.proposals import Proposal
from aegis.store import ImprovementLog
from aegis.types import utc_now
from tests.dashboard.conftest import add_decision, make_page

EVIL = '<img src=x onerror="alert(1)"><script>alert(2)</script>'


def test_the_places_are_the_agent_and_its_points(page, point, workspace):
    places = page.get("/api/status").json["places"]
    assert [(one["name"], one["title"], one["decisions"]) for one in places] == [
        ("", "agent", 10),
        ("router", "router", 1),
    ]
    assert page.get("/api/decisions?point=router").json["decisions"][0]["action"] == "refund"
    unknown = page.get("/api/decisions?point=../..")
    assert (unknown.status, "no decision point" in unknown.json["error"]["message"]) == (404, True)


def test_one_point_is_shown_alone(workspace, point):
    page = make_page(workspace, only="router")
    (place,) = page.get("/api/status").json["places"]
    assert (place["title"], place["decisions"]) == ("router", 1)
    assert page.get("/api/decisions?point=other").status == 404


def test_a_decision_is_shown_whole(page):
    one = page.get("/api/decisions/decision-3").json
    assert (one["state"], one["argument"]) == ({"goal": "goal 3"}, {"query": "what is 3?"})
    assert (one["reward"], one["parts"], one["reports"]) == (1.0, {"new": 1.0}, 1)
    assert one["probabilities"][0] == {"action": "web_search", "share": 0.7}
    assert page.get("/api/decisions/none").status == 404


def test_text_from_the_world_arrives_as_it_is(page, workspace):
    with open_store(workspace) as store:
        add_decision(store, 10, EVIL, state={EVIL: EVIL}, actions=(EVIL, "b", "c"))
    answer = page.get("/api/decisions/decision-10")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["state"] == {EVIL: EVIL}


def test_a_question_is_answered_once(page, workspace):
    with open_store(workspace) as store:
        Inbox(store.database).ask("decision-1", EVIL, utc_now(), 600)
    assert [one["text"] for one in page.get("/api/inbox").json["questions"]] == [EVIL]
    done = page.post("/api/answer", {"number": 1, "text": "forty-two"})
    assert done.json == {"done": "question 1 is answered: the agent reads it at its next decision"}
    again = page.post("/api/answer", {"number": 1, "text": "forty-three"})
    assert (again.status, "not waiting" in again.json["error"]["message"]) == (409, True)
    with open_store(workspace) as store:
        (asked,) = Inbox(store.database).unsettled()
        assert asked.answer == "forty-two"


@pytest.mark.parametrize("approved", [True, False])
def test_a_proposal_is_settled_with_a_note(page, workspace, approved):
    with open_store(workspace) as store:
        ApprovalQueue(store.database).propose("decision-1", Proposal("epochs", 20, 30, EVIL, 1.0), utc_now(), 600)
    (shown,) = page.get("/api/inbox").json["proposals"]
    assert (shown["words"], shown["reason"]) == ("epochs from 20 to 30", EVIL)
    assert page.post("/api/settle", {"number": 1, "approved": approved, "note": "try it"}).status == 200
    with open_store(workspace) as store:
        (settled,) = ApprovalQueue(store.database).unsettled()
        assert (settled.status, settled.note) == ("approved" if approved else "rejected", "try it")


def test_an_owner_pauses_the_agent_and_no_decision_point(page, workspace, point):
    assert page.post("/api/pause", {"paused": True}).json == {"done": "paused: the agent makes no further decision"}
    agent, router = page.get("/api/status").json["places"]
    assert (bool(agent["paused"]), agent["can_pause"], router["can_pause"]) == (True, True, False)
    refused = page.post("/api/pause", {"paused": True, "point": "router"})
    assert (refused.status, "its own program decides" in refused.json["error"]["message"]) == (409, True)
    assert page.post("/api/pause", {"paused": False}).status == 200
    assert page.get("/api/status").json["places"][0]["paused"] == ""


def test_an_owner_promotes_and_rolls_back_with_a_reason(page, workspace):
    for _ in range(2):
        with open_store(workspace) as store:
            ModelRegistry(store, workspace).promote(lambda name, folder: (folder / "x").touch(), {"accuracy": 0.8})
    assert page.get("/api/models").json["back_to"] == "hrm@1"
    assert page.post("/api/rollback", {"to": "hrm@1", "reason": " "}).status == 400
    assert page.post("/api/rollback", {"to": "hrm@2", "reason": "x"}).status == 409
    done = page.post("/api/rollback", {"to": "hrm@1", "reason": "it slipped"})
    assert done.json == {"done": "hrm@1 decides from now on"}
    found = page.get("/api/models").json
    assert [(one["name"], one["state"]) for one in found["versions"]] == [("hrm@2", "rolled back"), ("hrm@1", "serves")]
    assert found["versions"][0]["caution"] == "it was rolled back: it slipped"
    assert page.post("/api/promote", {"to": "hrm@2", "reason": "it is better"}).status == 200
    assert (
        page.post("/api/rollback", {"to": "teacher", "reason": "all of it"}).json["done"]
        == "the teacher decides from now on"
    )
    events = page.get("/api/learning").json["events"]
    assert [one["kind"] for one in events[2:]] == ["rolled_back", "promoted", "rolled_back"]
    assert events[-1]["who"].endswith("(dashboard)")


def test_a_version_whose_files_have_changed_is_not_promoted(page, workspace):
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        for _ in range(2):
            registry.promote(lambda name, folder: (folder / "weights").touch())
    (workspace.models / "hrm@1" / "weights").write_bytes(b"other")
    refused = page.post("/api/promote", {"to": "hrm@1", "reason": "it was better"})
    assert (refused.status, "SHA-256 has changed" in refused.json["error"]["message"]) == (409, True)
    assert page.get("/api/models").json["serving"] == "hrm@2"
    assert page.post("/api/promote", {"to": "../../x", "reason": "?"}).status == 409


def test_what_is_new_comes_after_the_cursor(page, workspace, monkeypatch):
    monkeypatch.setattr("aegis.dashboard.stream._STREAM_SECONDS", 0.01)
    cursor = page.get("/api/decisions").json["cursor"]
    with open_store(workspace) as store:
        add_decision(store, 10, "idle")
        reached = f"{store.newest()}-{ImprovementLog(store.database).newest_outcome()}"
    answer = page.get(f"/api/stream?after={cursor}")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.count(b"event: decisions") == 1
    assert b'"action": "idle"' in answer.body
    assert f"id: {reached}\n".encode() in answer.body
    assert b"event: decisions" not in page.get(f"/api/stream?after={cursor}", last_event_id=reached).body


def test_a_filter_of_the_address_is_read(page, workspace):
    with open_store(workspace) as store:
        add_decision(store, 10, "idle")
    listed = page.get("/api/decisions?action=idle&policy=gpt2").json
    assert [one["id"] for one in listed["decisions"]] == ["decision-10"]
    assert (listed["actions"], listed["policies"]) == (["idle", "web_search"], ["gpt2"])
    soon = (utc_now() + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert page.get(f"/api/decisions?since={soon}").json["decisions"] == []
    assert page.get("/api/decisions?since=yesterday").status == 422


def test_a_route_that_is_not_there_is_answered_with_those_that_are(page):
    answer = page.get("/status")
    message = answer.json["error"]["message"]
    assert (answer.status, message.startswith("GET '/status': no such route: there are GET /, POST /session,")) == (
        404,
        True,
    )
    assert "GET /api/decisions/{id}" in message
    assert page.post("/api/status", {}).status == 405
