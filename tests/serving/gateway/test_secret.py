"""A planted key of the upstream and planted tokens: nobody sees them again, whatever the upstream answers."""

from __future__ import annotations

import base64
import html
import json
import re
from importlib.util import find_spec

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.dashboard.overview import describe_place
from aegis.dashboard.page import PAGE
from aegis.door.traces import find_traces
from aegis.lifecycle import read_standing
from aegis.serving import TokenBook
from aegis.serving.access import add_token
from aegis.serving.gateway.answer import repeats
from aegis.workspace import Workspace
from tests.dashboard.conftest import make_page
from tests.serving.gateway.wire import CALL, TOOLS, TURNS

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


def rendered(workspace, report):
    """Return every page, script and answer of the dashboard, and what `aegis report --html` writes."""
    page = make_page(workspace)
    (id,) = (one["id"] for one in page.get("/api/decisions?point=router").json["decisions"])
    names = ("status", "decisions", f"decisions/{id}", f"decisions/{id}/like", "learning", "models", "inbox")
    answers = [page.get("/"), page.ask("GET", "/", b"", {"cookie": ""}), page.get("/?token=wrong")]
    answers += [page.get(f"/page/{name}") for name in PAGE]
    answers += [page.get(f"/api/{name}?point={point}") for name in names for point in ("router", "")]
    answers += [page.get(f"/api/knowledge?query={KEY[:20]}"), page.get("/api/nothing")]
    assert [one.status for one in answers[: 3 + len(PAGE)]] == [200, 401, 401] + [200] * len(PAGE)
    result = CliRunner().invoke(app, ["report", "--html", str(report), "--workspace", str(workspace.folder)])
    assert result.exit_code == 0, result.output
    whole = html.unescape(report.read_text("utf-8"))
    packed = re.findall(r"base64,([A-Za-z0-9+/=]+)", whole)
    assert id in whole
    assert packed, "the report holds its scripts"
    texts = [one.body.decode() for one in answers] + [str(one.headers) for one in answers]
    assert not any(page.token in text for text in texts)
    return [*texts, whole, result.output, *(base64.b64decode(one).decode("utf-8", "replace") for one in packed)]


def test_an_answer_that_cannot_be_unpacked_may_repeat_a_key():
    assert repeats("k", {"content-encoding": "br"}, b"")
    assert repeats("k", {"content-encoding": "gzip"}, b"no gzip")
    assert repeats("k", {"x-debug": "k"}, b"")
    assert not repeats("k", {}, b"nothing")


class Spans:
    """Keeps what OpenTelemetry would hear."""

    def __init__(self):
        self.heard = []

    def start_span(self, *given, **named):
        self.heard.append((given, named))
        return self

    def end(self, end_time):
        pass


def test_a_planted_secret_is_in_no_span_log_traceback_export_report_or_page(
    open_gate, tmp_path, monkeypatch, capfd, caplog, wait_for
):
    spans, traces = Spans(), find_spec("opentelemetry") is not None
    if traces:
        monkeypatch.setattr("aegis.serving.app.find_tracer", lambda: spans)
    monkeypatch.setenv("UPSTREAM_KEY", KEY)
    caplog.set_level("DEBUG")
    token, manage = (add_token(tmp_path / "tokens", scope, [scope]) for scope in ("decide", "manage"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AEGIS_DATABASE_PASSWORD", KEY)
    gate = open_gate(TokenBook.read(tmp_path / "tokens", {}), manage, upstream={"key_variable": "UPSTREAM_KEY"})
    headers = {"authorization": f"Bearer {token}", "x-aegis-point": "router"}
    choose = {"model": "m", "messages": TURNS, "tools": TOOLS, "tool_choice": "required"}
    gate.upstream.answer(gate.upstream.completion({"tool_calls": [CALL]}, "tool_calls"))
    assert gate.through.post("/v1/chat/completions", json=choose, headers=headers).status_code == 200
    wait_for(lambda: gate.recorded() == 1)

    def fail(*given, **named):
        raise RuntimeError("a fault within AEGIS")

    with monkeypatch.context() as broken:  # its traceback goes to the log
        broken.setattr(gate.points, "standing", fail)
        assert gate.through.get("/v1/status", headers={"authorization": f"Bearer {manage}"}).status_code == 500
    gate.running.stop()
    point, runner = tmp_path / "points" / "router", CliRunner()
    exported = tmp_path / "exported.jsonl"
    seen = []
    for words in (("status", "--json"), ("verify",), ("doctor",), ("savings",), ("export", str(exported))):
        folder = tmp_path if words[0] == "savings" else point
        result = runner.invoke(app, [words[0], "--workspace", str(folder), *words[1:]])
        assert result.exit_code == 0, (words, result.output)
        seen.append(result.output)
    seen += [exported.read_text(), repr(spans.heard), caplog.text, *capfd.readouterr()]
    seen.append(json.dumps(describe_place(read_standing(Workspace(point))), default=str))
    seen += rendered(Workspace(tmp_path), tmp_path / "report.html")
    assert "a fault within AEGIS" in "".join(seen)
    assert ("gen_ai" in repr(spans.heard)) == traces
    for secret in (KEY, token, manage):
        assert not any(secret in text for text in seen)
        assert list(find_traces(tmp_path, secret)) == []
