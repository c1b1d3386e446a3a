"""A planted key of the upstream and a planted token: nobody sees them again, whatever the upstream answers."""

from __future__ import annotations

import pytest

from aegis.door.forgetting import find_traces
from aegis.serving import TokenBook
from aegis.serving.access import add_token
from aegis.serving.gateway.answer import repeats
from tests.serving.gateway.wire import CALL

KEY = "sk-planted-0123456789"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [CALL | {"type": "function"}]}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("status", [401])
def test_an_upstream_that_repeats_the_key_is_not_quoted(open_gate, tmp_path, monkeypatch, capfd, status, packed):
    monkeypatch.setenv("UPSTREAM_KEY", KEY)
    token, manage = (add_token(tmp_path / "tokens", scope, [scope]) for scope in ("decide", "manage"))
    gate = open_gate(TokenBook.read(tmp_path / "tokens", {}), manage, upstream={"key_variable": "UPSTREAM_KEY"})
    gate.upstream.answer({"error": {"message": f"Incorrect API key: {KEY}"}}, status, packed)
    headers = {"authorization": f"Bearer {token}"}
    response = gate.through.post("/v1/chat/completions", json=BODY, headers=headers)
    assert response.status_code == 502
    assert "its answer repeats the key" in response.json()["error"]["message"]
    assert "check UPSTREAM_KEY" in response.text
    gate.upstream.answer({"error": {"message": "too many tools"}}, status, packed)
    plain = gate.through.post("/v1/chat/completions", json=BODY, headers=headers)
    assert (plain.status_code, plain.json()) == (status, {"error": {"message": "too many tools"}})
    gate.upstream.answer(gate.upstream.completion({"content": "hello"}))
    assert gate.through.post("/v1/chat/completions", json=BODY, headers=headers).status_code == 200
    assert dict(gate.upstream.got[0][2])[b"authorization"] == f"Bearer {KEY}".encode()
    managing = {"authorization": f"Bearer {manage}"}
    seen = [gate.through.get(path, headers=managing).text for path in ("/metrics", "/v1/status", "/openapi.json")]
    gate.running.stop()
    seen += [response.text, str(response.headers), *capfd.readouterr()]
    for secret in (KEY, token, manage):
        assert not any(secret in text for text in seen)
        assert list(find_traces(tmp_path, secret)) == []


def test_an_answer_that_cannot_be_unpacked_may_repeat_a_key():
    assert repeats("k", {"content-encoding": "br"}, b"")
    assert repeats("k", {"content-encoding": "gzip"}, b"no gzip")
    assert repeats("k", {"x-debug": "k"}, b"")
    assert not repeats("k", {}, b"nothing")
