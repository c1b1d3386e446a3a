"""Requests to a local server: which are retried, after which pauses, and when they fail for good."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from werkzeug import Response

from aegis.errors import RequestError
from aegis.http import HttpClient, Manners

# An answer that comes at all comes in time, even if other processes hold the processor for seconds.
QUICK = Manners(timeout_seconds=30, first_pause_seconds=0.01)


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def make_client(pauses):
    made = []

    def make(manners=QUICK, **options):
        made.append(HttpClient(manners, sleep=pauses.append, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


def answers(*responses):
    """Return a handler that gives these responses in turn, then the last one for ever."""
    left = list(responses)

    def handle(request):
        return left.pop(0) if len(left) > 1 else left[0]

    return handle


def test_an_answer_comes_with_its_body_and_the_server_learns_who_asks(httpserver, make_client):
    httpserver.expect_request("/x", query_string={"q": "a b"}).respond_with_json({"ok": 1})
    assert make_client().request("GET", httpserver.url_for("/x"), params={"q": "a b"}).json() == {"ok": 1}
    assert httpserver.log[0][0].headers["User-Agent"].startswith("aegis-hrm/")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_fault_that_may_pass_is_tried_again_after_growing_pauses(httpserver, make_client, pauses, status):
    handler = answers(Response(status=status), Response(status=status), Response("fine"))
    httpserver.expect_request("/x").respond_with_handler(handler)
    lines = []
    reply = make_client(on_retry=lines.append).request("GET", httpserver.url_for("/x"))
    assert reply.body == b"fine"
    assert len(pauses) == 2
    assert pauses[1] > pauses[0]
    assert [line.split(";")[0] for line in lines] == [f"status {status}"] * 2
    assert "attempt 3 of 3" in lines[1]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 302])
def test_a_fault_that_will_not_pass_is_not_tried_again(httpserver, make_client, status):
    httpserver.expect_request("/x").respond_with_data("the reason", status=status)
    with pytest.raises(RequestError, match=f"status {status}: the reason") as caught:
        make_client().request("GET", httpserver.url_for("/x"))
    assert (caught.value.status, caught.value.body) == (status, b"the reason")
    assert len(httpserver.log) == 1


def test_after_the_last_attempt_the_last_answer_is_the_error(httpserver, make_client):
    httpserver.expect_request("/x").respond_with_data("overloaded\x1b[31m", status=503)
    with pytest.raises(RequestError, match=r"status 503: overloaded\[31m \(tried 3 times\)"):
        make_client().request("GET", httpserver.url_for("/x"))
    assert len(httpserver.log) == 3


@pytest.mark.parametrize("form", ["700", "date"])
def test_the_pause_that_the_server_asks_for_is_made(httpserver, make_client, pauses, form):
    value = form if form == "700" else format_datetime(datetime.now(UTC) + timedelta(seconds=800), usegmt=True)
    limited = Response(status=429, headers={"Retry-After": value})
    httpserver.expect_request("/x").respond_with_handler(answers(limited, Response("fine")))
    client = make_client(Manners(timeout_seconds=30, deadline_seconds=1e9))
    assert client.request("GET", httpserver.url_for("/x")).body == b"fine"
    assert len(pauses) == 1
    assert 600 < pauses[0] <= 800


def test_a_pause_beyond_the_deadline_is_not_waited_for(httpserver, make_client, pauses):
    httpserver.expect_request("/x").respond_with_data("", status=429, headers={"Retry-After": "3600"})
    with pytest.raises(RequestError, match="it asks for a pause of 3600 s"):
        make_client().request("GET", httpserver.url_for("/x"))
    assert pauses == []


@pytest.mark.parametrize("value", ["soon", "-3", "", "Mon, 99 Foo 2026", "9" * 400])
def test_an_unreadable_pause_is_no_reason_to_fail(httpserver, make_client, value):
    limited = Response(status=429, headers={"Retry-After": value})
    httpserver.expect_request("/x").respond_with_handler(answers(limited, Response("fine")))
    client = make_client(Manners(timeout_seconds=30, deadline_seconds=1e9))
    assert client.request("GET", httpserver.url_for("/x")).body == b"fine"


def test_a_server_that_hangs_or_drips_is_given_up_in_time(httpserver, make_client):
    given_up = threading.Event()

    def drip(request):
        def slowly():
            while not given_up.is_set():
                yield b"x"
                time.sleep(0.05)

        return Response(slowly())

    httpserver.expect_request("/drip").respond_with_handler(drip)
    client = make_client(Manners(timeout_seconds=0.3, attempts=1))
    try:
        with pytest.raises(RequestError, match=r"no answer within 0\.3 s"):
            client.request("GET", httpserver.url_for("/drip"))
    finally:
        given_up.set()


def test_an_answer_too_long_and_an_answer_that_is_no_json_are_errors(httpserver, make_client):
    httpserver.expect_request("/long").respond_with_data("x" * 2000)
    httpserver.expect_request("/html").respond_with_data("<html>\x1b[1m")
    with pytest.raises(RequestError, match="longer than 1000 bytes"):
        make_client(Manners(max_body_bytes=1000)).request("GET", httpserver.url_for("/long"))
    with pytest.raises(RequestError, match=r"not JSON: '<html>\[1m'"):
        make_client().request("GET", httpserver.url_for("/html")).json()


@pytest.mark.parametrize(("url", "said"), [("ftp://x/", "not an address"), ("http://127.0.0.1:1/", "can't be reached")])
def test_an_invalid_address_and_a_silent_address_are_errors(make_client, url, said):
    with pytest.raises(RequestError, match=said):
        make_client().request("GET", url)


def test_requests_keep_their_distance(httpserver, make_client, pauses):
    httpserver.expect_request("/x").respond_with_data("fine")
    client = make_client(Manners(interval_seconds=300.0))
    for _ in range(3):
        client.request("GET", httpserver.url_for("/x"))
    assert len(pauses) == 2
    assert 0 < pauses[0] <= 300 < pauses[1] <= 600
