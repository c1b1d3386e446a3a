"""What passes the gateway is what the upstream got and sent, byte for byte; and what happens where something breaks."""

from __future__ import annotations

import json
import socket
import time

import httpx2
import pytest

from aegis.serving import TokenBook, UpstreamConfig
from aegis.serving.access import add_token
from tests.serving.gateway.wire import ANSWERS, ASKED, CALL, TOOLS, TURNS, body_of

MESSAGES = TURNS
OWN = {"x-aegis-overhead-ms", "x-aegis-policy", "x-aegis-point", "x-aegis-decision", "x-aegis-silent"}


def exchange(client, body, path="/v1/chat/completions", method="POST"):
    with client.stream(method, path, content=body, headers={"x-client": "k", "authorization": "Bearer sk"}) as response:
        return response.status_code, list(response.headers.raw), b"".join(response.iter_raw())


def without_own(headers):
    return sorted((name.lower(), value) for name, value in headers if name.lower().decode() not in OWN)


def sent_headers(got):
    return sorted(one for one in got[2] if one[0] not in (b"host", b"connection"))


@pytest.mark.parametrize(
    ("path", "answer"), [(path, answer) for path, answers in ANSWERS.items() for answer in answers]
)
def test_every_kind_of_exchange_is_the_same_through_the_gateway_and_direct(gate, path, answer):
    ANSWERS[path][answer](gate.upstream)
    for fields in ASKED[path].values():
        body = body_of(path, fields)
        gate.upstream.got.clear()
        direct, through = (exchange(client, body, f"{path}?a=%2Fb&c=") for client in (gate.direct, gate.through))
        assert through[0] == direct[0]
        assert without_own(through[1]) == without_own(direct[1])
        assert through[2] == direct[2] == b"".join(gate.upstream.chunks)
        first, second = gate.upstream.got
        assert second[:2] == first[:2] == ("POST", f"{path}?a=%2Fb&c=")
        assert second[3] == first[3] == body
        assert sent_headers(second) == sent_headers(first)


def test_there_are_many_kinds_of_exchanges():
    assert sum(len(ANSWERS[path]) * len(ASKED[path]) for path in ASKED) >= 300


def test_other_paths_and_methods_pass_too(gate):
    gate.upstream.answer({"data": [{"id": "m"}]})
    for method, path in (("GET", "/v1/models"), ("DELETE", "/v1/files/a%20b"), ("POST", "/v1/embeddings")):
        assert exchange(gate.through, b"" if method != "POST" else b"{}", path, method)[0] == 200
        assert gate.upstream.got[-1][:2] == (method, path)
    assert gate.through.get("/health").json() == {"status": "ok"}
    assert gate.through.get("/v2/models").status_code == 404


def test_a_stream_is_handed_on_as_it_comes(gate):
    gate.upstream.stream(*(gate.upstream.chunk({"content": str(number)}) for number in range(4)))
    gate.upstream.waits = 0.3
    began, came = time.monotonic(), []
    with gate.through.stream("POST", "/v1/chat/completions", content=b"{}") as response:
        came = [time.monotonic() - began for _ in response.iter_raw()]
    assert len(came) == 4
    assert came[0] < came[-1] - 0.6


def test_each_answer_tells_what_the_gateway_cost(gate):
    gate.upstream.answer(gate.upstream.completion({"content": "Hello"}))
    response = gate.through.post("/v1/chat/completions", json={"model": "m", "messages": MESSAGES})
    assert 0 < float(response.headers["x-aegis-overhead-ms"]) < 1000
    assert "x-aegis-decision" not in response.headers  # free text is no choice
    assert "aegis_gateway_overhead_seconds_count 1.0" in gate.metrics()


def test_an_upstream_that_is_not_there_or_hangs_is_named(open_gate):
    gone = open_gate(more_upstreams=[UpstreamConfig("http://owner:secret@127.0.0.1:9/v1", ("*",))])
    response = gone.through.post("/v1/chat/completions", json={"model": "m"})
    assert (response.status_code, response.json()["error"]["type"]) == (502, "upstream")
    assert "http://127.0.0.1:9/v1 can't be reached" in response.text
    assert "secret" not in response.text
    hangs = open_gate(answer_seconds=0.2)
    hangs.upstream.waits = 5
    response = hangs.through.post("/v1/chat/completions", json={"model": "m"})
    assert (response.status_code, response.json()["error"]["type"]) == (504, "upstream")


def test_an_upstream_that_breaks_off_breaks_off_at_the_client_and_nothing_is_recorded(gate):
    gate.upstream.stream(gate.upstream.chunk({"content": "Hel"}))
    gate.upstream.breaks = True
    with pytest.raises(httpx2.RemoteProtocolError):
        gate.through.post("/v1/chat/completions", json={"model": "m", "messages": MESSAGES, "tools": TOOLS})
    gate.upstream.breaks = False
    assert gate.through.post("/v1/chat/completions", json={}).status_code == 200
    assert gate.recorded() == gate.recorded("not_recorded") == 0


def test_a_client_that_hangs_up_ends_the_request_at_the_upstream(gate, wait_for):
    gate.upstream.stream(*(gate.upstream.chunk({"content": "x"}) for _ in range(1000)))
    gate.upstream.waits = 0.05
    host, port = gate.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\n\r\n{}")
        assert b" 200 " in raw.recv(1000)
    wait_for(lambda: gate.upstream.left == 1)


def test_another_sites_page_and_100_megabytes_do_not_pass(gate):
    gate.upstream.answer({})
    evil = gate.through.post("/v1/chat/completions", json={}, headers={"origin": "https://evil.example"})
    assert evil.status_code == 403
    assert gate.through.post("/v1/chat/completions", content=bytes(50_000_001)).status_code == 413
    assert gate.upstream.got == []
    assert gate.through.post("/v1/chat/completions", content=bytes(5_000_000)).status_code == 200
    assert gate.through.post("/v1/decisions", content=bytes(1_000_001)).status_code == 413


def test_whatever_goes_wrong_in_aegis_the_request_passes(gate, monkeypatch):
    gate.upstream.answer(gate.upstream.completion({"tool_calls": [CALL]}))

    def fail(*args, **kwargs):
        raise RuntimeError("a fault")

    for name in ("passing.read_choice", "recording.read_answer"):
        monkeypatch.setattr(f"aegis.serving.gateway.{name}", fail)
        response = gate.through.post("/v1/chat/completions", json={"model": "m", "messages": MESSAGES, "tools": TOOLS})
        assert (response.status_code, response.content) == (200, gate.upstream.chunks[0])
        monkeypatch.undo()


def test_several_upstreams_are_told_apart_by_the_models_names(open_gate, run_app):
    first = open_gate()
    second = open_gate(
        more_upstreams=[UpstreamConfig(f"{str(first.direct.base_url).rstrip(chr(47))}/v1", ("gpt-*", "o3"))]
    )
    for one in (first, second):
        one.upstream.answer({})
    for model in ("gpt-4.1", "o3", "claude"):
        assert second.through.post("/v1/chat/completions", json={"model": model}).status_code == 200
    assert [json.loads(got[3])["model"] for got in first.upstream.got] == ["gpt-4.1", "o3"]
    assert [json.loads(got[3])["model"] for got in second.upstream.got] == ["claude"]


def test_with_a_key_of_its_own_the_gateway_asks_for_a_token(open_gate, tmp_path, monkeypatch):
    monkeypatch.setenv("UPSTREAM_KEY", "sk-ours")
    secret = add_token(tmp_path / "tokens", "agent", ["decide"])
    tokens = TokenBook.read(tmp_path / "tokens", {})
    gate = open_gate(tokens, upstream={"key_variable": "UPSTREAM_KEY"})
    gate.upstream.answer({})
    assert gate.through.post("/v1/chat/completions", json={}).status_code == 401
    headers = {"authorization": f"Bearer {secret}"}
    assert gate.through.post("/v1/chat/completions", json={}, headers=headers).status_code == 200
    assert dict(gate.upstream.got[0][2])[b"authorization"] == b"Bearer sk-ours"


def test_a_base_url_without_v1_is_explained(gate):
    for path in ("/chat/completions", "/models"):
        answer = gate.through.post(path, json={})
        message = answer.json()["error"]["message"]
        assert (answer.status_code, gate.upstream.got) == (404, [])
        assert f"did you mean /v1{path}? End the client's base_url with /v1" in message
        assert "POST /v1/chat/completions (the gateway), POST /v1/responses (the gateway)" in message
