"""Faults around the gateway: a full disk, a slow client, too many requests. Requests pass, or are told to come back."""

from __future__ import annotations

import socket
import threading

import pytest

from aegis.serving import LimitConfig
from tests.serving.gateway.wire import TOOLS, TURNS

CHOOSE = {"model": "m", "messages": TURNS, "tools": TOOLS, "tool_choice": "required"}
HEADERS = {"x-aegis-point": "router", "x-aegis-episode": "customer 7"}
PATH = "/v1/chat/completions"


@pytest.fixture
def fill_disk():
    """Return what lets SQLite find the disk of a point full, or no longer."""

    def fill(decider, full=True):
        database = decider._journal.store.database

        def limit():
            pages = database.query("PRAGMA page_count")[0][0] if full else 1_000_000
            database.query(f"PRAGMA max_page_count = {pages}")

        decider._journal.do(limit)

    return fill


@pytest.mark.sqlite  # it fills SQLite's file by a pragma
def test_where_the_disk_is_full_requests_pass_and_later_ones_are_recorded(assisted, fill_disk, wait_for, recorded_at):
    gate = assisted(CHOOSE)
    decider = gate.points.find("router")
    fill_disk(decider)
    long = CHOOSE | {"messages": [*TURNS, {"role": "user", "content": "x" * 100_000}]}
    for _ in range(3):  # the HRM's answer can't be recorded: the upstream gives its own, which can't either
        response = gate.through.post(PATH, json=long, headers=HEADERS)
        assert (response.status_code, response.content) == (200, gate.upstream.chunks[0])
    wait_for(lambda: gate.recorded("not_recorded") == 3)
    fill_disk(decider, full=False)
    assert gate.through.post(PATH, json=long, headers=HEADERS).headers["x-aegis-policy"] == "hrm@1"
    assert len(recorded_at("router")) == 2


def test_a_client_whose_body_dawdles_is_refused_and_others_are_not_disturbed(open_gate):
    gate = open_gate(limits=LimitConfig(body_seconds=0.2))
    gate.upstream.answer({})
    host, port = gate.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 10\r\n\r\n{")
        assert gate.through.post(PATH, json={}).status_code == 200
        assert b" 408 " in raw.recv(1000).splitlines()[0]
    assert len(gate.upstream.got) == 1


def test_a_caller_beyond_the_rate_is_told_when_to_come_back(open_gate):
    gate = open_gate(requests_per_second=2.0)
    gate.upstream.answer({})
    answers = [gate.through.post(PATH, json={}) for _ in range(8)]
    refused = [one for one in answers if one.status_code == 429]
    assert refused
    assert {one.headers["retry-after"] for one in refused} == {"1"}
    assert len(gate.upstream.got) == len(answers) - len(refused)


def test_more_requests_than_the_gateway_holds_are_told_to_come_back(open_gate, wait_for):
    gate = open_gate(max_in_progress=1)
    gate.upstream.answer({})
    gate.upstream.waits = 0.5
    slow = threading.Thread(target=lambda: gate.through.post(PATH, json={}))
    slow.start()
    wait_for(lambda: gate.upstream.got)
    response = gate.direct.post(f"{gate.url}{PATH}", json={})
    assert (response.status_code, response.json()["error"]["type"], response.headers["retry-after"]) == (
        503,
        "busy",
        "1",
    )
    slow.join()
    wait_for(lambda: gate.through.post(PATH, json={}).status_code == 200)  # it lets go a moment after its answer
