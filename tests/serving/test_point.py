"""The points of a server: several servers over one workspace, and points that begin at the gateway."""

from __future__ import annotations

from contextlib import ExitStack, closing

import pytest

from aegis.door import Decider
from aegis.errors import NobodyDecidesError
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry
from aegis.serving import GatewayConfig, Listening, PointBook, PointConfig, ServeConfig, UpstreamConfig
from aegis.serving.point import NewPoint, UnknownPointError
from aegis.serving.server import serve
from aegis.workspace import Workspace

POINT = "support-router"
NEW = NewPoint(("refund", "escalate", "answer"), "gpt", "https://upstream")


def policy_of(book):
    """Return who decides next at a server; None where the client is to."""
    try:
        return book.decide(POINT, {"n": 1}, offered=None, episode=None).policy
    except NobodyDecidesError:
        return None


def test_every_server_of_a_workspace_follows_a_promotion_and_a_rollback(tmp_path, promote, wait_for):
    with ExitStack() as stack:
        books = [stack.enter_context(closing(PointBook(tmp_path, {}))) for _ in range(3)]
        for book in books:
            book.find(POINT, NEW)
        assert [policy_of(book) for book in books] == [None] * 3
        promote()
        for book in books:
            wait_for(lambda book=book: policy_of(book) == "hrm@1")
        workspace = Workspace(tmp_path).point(POINT)
        with open_store(workspace) as store:
            ModelRegistry(store, workspace).roll_back(None, "owner", "a test")
        for book in books:
            wait_for(lambda book=book: policy_of(book) is None)


def test_a_point_of_the_gateways_begins_with_its_first_request(tmp_path):
    gateway = GatewayConfig((UpstreamConfig("http://upstream/v1"),), mode="assist")
    configured = {"triage": PointConfig(("urgent", "later"), prompt="Answer urgent or later."), "sort": PointConfig()}
    with closing(PointBook(tmp_path, configured, gateway=gateway)) as book:
        book.open_configured()
        assert book.names() == []
        with pytest.raises(UnknownPointError, match="begins with its first request"):
            book.find("triage")
        new = NewPoint(("urgent", "later"), "m", "http://upstream/v1")
        assert book.find("triage", new).teacher.name == "m"
        assert [book.mode_at_gateway(name) for name in ("triage", "sort", "other")] == ["assist"] * 3
    with closing(PointBook(tmp_path, configured, gateway=gateway)) as book:
        book.open_configured()
        assert book.find("triage").teacher.name == "m"


def test_a_server_warms_its_hrms_before_it_is_ready(tmp_path, promote, monkeypatch):
    gateway = GatewayConfig((UpstreamConfig("https://upstream"),), mode="assist")
    with closing(PointBook(tmp_path, {}, gateway=gateway)) as book:
        for name in (POINT, "quiet", "torn", "young"):
            book.find(name, NEW)
            if name != "young":
                promote(name)
                book.find(name).record({"n": 1}, "refund")
    Workspace(tmp_path).point("torn").database.write_bytes(b"torn" * 1000)
    told, asked = [], []
    monkeypatch.setattr(Decider, "ask", lambda decider, state: asked.append((decider.name, state)))
    with closing(PointBook(tmp_path, {"quiet": PointConfig(mode="observe")}, gateway=gateway)) as book:
        book.warm(told.append)
        assert book.opened(POINT)._steward.policy.name == "hrm@1"
        assert [book.opened(name) for name in ("quiet", "torn", "young")] == [None] * 3
    assert asked == [(POINT, {"n": 1})]  # with a recorded state, and nothing is recorded
    assert told[0] == f"Warming up {POINT}: hrm@1 ..."
    assert told[1].startswith("torn: not ready: ")


def test_the_address_is_told_once_the_hrms_are_warm(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(PointBook, "warm", lambda book, tell: tell("warm"))
    monkeypatch.setattr("aegis.serving.server.run", lambda app, bound, seconds, ready, stopped: ready("address"))
    serve(PointBook(tmp_path, {}), ServeConfig(), Listening(port=0), heard.append, heard.append, tell=heard.append)
    assert heard == ["warm", "address"]
