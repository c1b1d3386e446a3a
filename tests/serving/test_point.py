"""The points of a server: several servers over one workspace, and points that begin at the gateway."""

from __future__ import annotations

from contextlib import ExitStack, closing

import pytest

from aegis.errors import NobodyDecidesError
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry
from aegis.serving import GatewayConfig, PointBook, PointConfig, UpstreamConfig
from aegis.serving.point import NewPoint, UnknownPointError
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
