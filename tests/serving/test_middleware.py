"""Requests that are too long, too slow, too many, or another site's: refused with the right status, alone."""

from __future__ import annotations

import socket

from aegis.serving import LimitConfig, ServeConfig
from aegis.serving.admission import RateBook


def test_a_body_over_the_limit_is_refused_before_it_is_read(start):
    served = start(ServeConfig(limits=LimitConfig(max_body_bytes=200)))
    response = served.decide({"ticket": "x" * 300}, decided="refund")
    assert (response.status_code, response.json()["error"]["type"]) == (413, "long_body")
    with socket.create_connection(served.running.bound.getsockname()) as raw:
        head = b"POST /v1/decisions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100000000\r\n\r\n"
        raw.sendall(head)  # and nothing of the 100 MB
        assert b" 413 " in raw.recv(1000).splitlines()[0]
    chunks = (b"x" * 50 for _ in range(10))  # of a length that is not told
    assert served.client.post("/v1/decisions", content=chunks).status_code == 413
    assert served.decide(decided="refund").status_code == 200


def test_a_body_that_does_not_arrive_in_time_is_refused(start):
    served = start(ServeConfig(limits=LimitConfig(body_seconds=0.2)))
    with socket.create_connection(served.running.bound.getsockname()) as raw:
        raw.sendall(b"POST /v1/decisions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 10\r\n\r\n{")
        assert b" 408 " in raw.recv(1000).splitlines()[0]
    assert served.decide(decided="refund").status_code == 200


def test_a_client_that_hangs_up_disturbs_nobody(start, wait_for):
    served = start()
    with socket.create_connection(served.running.bound.getsockname()) as raw:
        raw.sendall(b"POST /v1/decisions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 10\r\n\r\n{")
    wait_for(lambda: 'status="499"' in served.metrics())
    assert served.decide(decided="refund").status_code == 200


def test_another_sites_page_may_not_ask(start, point_store):
    served = start()
    headers = {"origin": "https://evil.example"}
    body = {"point": "support-router", "state": {"n": 1}, "decided": "refund"}
    response = served.client.post("/v1/decisions", json=body, headers=headers)
    assert (response.status_code, response.json()["error"]["type"]) == (403, "other_site")
    assert served.client.get("/v1/points", headers={"host": "evil.example"}).status_code == 403
    assert point_store.count() == 0


def test_a_caller_beyond_its_rate_is_told_when_to_come_back(start):
    served = start(ServeConfig(limits=LimitConfig(requests_per_second=2)))
    answers = [served.client.get("/v1/points") for _ in range(8)]
    refused = [one for one in answers if one.status_code == 429]
    assert answers[0].status_code == 200
    assert refused
    assert all(one.headers["retry-after"] == "1" for one in refused)
    assert served.client.get("/health").status_code == 200


def test_a_rate_refills_steadily_and_each_caller_has_its_own():
    clock = [0.0]
    book = RateBook(2.0, lambda: clock[0])
    assert [book.wait_seconds("a") for _ in range(3)] == [0, 0, 0.5]
    assert book.wait_seconds("b") == 0
    clock[0] = 0.5
    assert [book.wait_seconds("a"), book.wait_seconds("a")] == [0, 0.5]
    clock[0] = 100
    assert [book.wait_seconds("a") for _ in range(3)] == [0, 0, 0.5]
