"""The short way to a decision answers as the application does, and hands on what is out of form."""

from __future__ import annotations

import hashlib
import json

from aegis.serving import LimitConfig, ServeConfig, TokenBook
from aegis.serving.access import Token

ASKED = {"point": "support-router", "state": {"ticket": "broken"}}
JSON = "application/json"
OTHER_JSON = "application/vnd.api+json"
"""FastAPI takes it for JSON, and the short way does not"""


def post(served, asked, kind, **headers):
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    return served.client.post("/v1/decisions", content=body, headers={"content-type": kind, **headers})


ODD = (
    ASKED,
    ASKED | {"decided": "dance"},
    ASKED | {"offered": ["dance"]},
    ASKED | {"point": "nowhere"},
    ASKED | {"point": "../x"},
    ASKED | {"state": {}},
    ASKED | {"surprise": 1},
    {"point": "support-router"},
    b"{",
    b"\xff\xfe",
    b"",
)


def test_both_ways_answer_the_same_errors(start):
    served = start()
    for asked in ODD:
        quick, long = (post(served, asked, kind) for kind in (JSON, OTHER_JSON))
        assert quick.status_code == long.status_code >= 400, asked
        assert quick.json() == long.json()
        assert quick.headers["content-type"] == long.headers["content-type"] == JSON


def test_both_ways_answer_and_count_the_same_decision(start):
    served = start()
    asked = ASKED | {"decided": "refund", "episode": "e"}
    answers = [post(served, asked, kind) for kind in (JSON, f"{JSON}; charset=utf-8", OTHER_JSON)]
    assert [answer.status_code for answer in answers] == [200] * 3
    first, *others = [{**answer.json(), "id": ""} for answer in answers]
    assert others == [first, first]
    assert 'aegis_decisions_total{by="client",point="support-router"} 3.0' in served.metrics()
    assert 'aegis_requests_total{route="/v1/decisions",status="200"} 3.0' in served.metrics()


def test_tokens_and_rates_hold_on_the_short_way(start):
    known = {"a": ("agent", "decide"), "r": ("reader", "report")}
    tokens = TokenBook(
        Token(name, hashlib.sha256(20 * sign.encode()).hexdigest(), frozenset({scope}))
        for sign, (name, scope) in known.items()
    )
    served = start(ServeConfig(limits=LimitConfig(requests_per_second=3)), tokens)
    asked = ASKED | {"decided": "refund"}
    assert post(served, asked, JSON).status_code == 401
    assert post(served, asked, JSON, authorization="Bearer " + "x" * 20).status_code == 401
    assert post(served, asked, JSON, authorization="Bearer " + "r" * 20).status_code == 403
    taken = [post(served, asked, JSON, authorization="bearer " + "a" * 20).status_code for _ in range(30)]
    assert set(taken) == {200, 429}
