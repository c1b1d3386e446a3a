"""What is new, as events after a cursor."""

from __future__ import annotations

import asyncio

import pytest

from aegis.dashboard.stream import Cursor, follow, look, newest_cursor
from aegis.lifecycle import open_store
from aegis.serving.middleware import Refusal
from aegis.types import Outcome
from tests.dashboard.conftest import add_decision


def test_a_late_outcome_brings_its_decision_once_more(workspace):
    cursor = newest_cursor(workspace)
    assert look(workspace, cursor) == (cursor, [])
    with open_store(workspace) as store:
        store.record_outcome(Outcome("decision-3", "failed", reward=-1.0))
    reached, found = look(workspace, cursor)
    assert [(one["id"], one["outcome"], one["reward"]) for one in found] == [("decision-3", "failed", -1.0)]
    assert look(workspace, reached) == (reached, [])


def test_a_browser_that_is_behind_gets_the_newest_at_once_and_none_twice(workspace, monkeypatch):
    monkeypatch.setattr("aegis.dashboard.stream._MOST_AT_ONCE", 3)
    cursor = newest_cursor(workspace)
    with open_store(workspace) as store:
        for number in range(10, 18):
            add_decision(store, number)
    cursor, found = look(workspace, cursor)
    assert [one["place"] for one in found] == [16, 17, 18]
    assert cursor == newest_cursor(workspace)
    assert look(workspace, cursor) == (cursor, [])
    with open_store(workspace) as store:
        add_decision(store, 18)
    assert [one["place"] for one in look(workspace, cursor)[1]] == [19]


def test_a_stream_ends_where_the_server_is_busy(workspace):
    async def refuse(job):
        raise Refusal(503, "busy", "too many requests are in progress")

    async def read():
        return [event async for event in follow(workspace, Cursor(1, 1), refuse)]

    (begin,) = asyncio.run(read())
    assert "event: begin" in begin


@pytest.mark.parametrize("text", ["", "1", "1-", "-1-2", "a-b", "1-2-3", "9" * 30 + "-1"])
def test_a_cursor_out_of_form_is_none(text):
    assert Cursor.parse(text) is None
    assert Cursor.parse("12-7") == Cursor(12, 7)
