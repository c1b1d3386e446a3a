"""Spans of choices: named and filled by GenAI's conventions, under the caller's span, only where they are wanted."""

from __future__ import annotations

from typing import Any

import pytest

from aegis.errors import MissingPackageError
from aegis.serving.gateway.span import find_tracer
from tests.serving.gateway.wire import CALL, TOOLS, TURNS

trace = pytest.importorskip("opentelemetry.trace")
CHOOSE = {"model": "m", "messages": TURNS, "tools": TOOLS, "tool_choice": "required"}
HEADERS = {"x-aegis-point": "router", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}


class Tracer:
    """Keeps what it was told."""

    def __init__(self):
        self.spans = []

    def start_span(self, name, context, kind, attributes, start_time):
        self.spans.append((name, context, kind, attributes, start_time))
        return self

    def end(self, end_time):
        self.ended = end_time


@pytest.fixture
def tracer(monkeypatch):
    tracer = Tracer()
    monkeypatch.setattr("aegis.serving.app.find_tracer", lambda: tracer)
    return tracer


def test_a_choice_is_a_span_by_genais_conventions_under_its_callers(tracer, gate, wait_for):
    gate.upstream.answer(gate.upstream.completion({"tool_calls": [CALL]}, "tool_calls"))
    response = gate.through.post("/v1/chat/completions", json=CHOOSE, headers=HEADERS)
    wait_for(lambda: gate.recorded() == 1)
    ((name, context, kind, fields, began),) = tracer.spans
    assert (name, kind, began < tracer.ended) == ("chat m", trace.SpanKind.CLIENT, True)
    assert trace.get_current_span(context).get_span_context().trace_id == int("a" * 32, 16)
    assert dict(gate.upstream.got[0][2])[b"traceparent"] == HEADERS["traceparent"].encode()
    assert fields.pop("gen_ai.conversation.id")
    assert fields == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "m-2026",
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 3,
        "aegis.point": "router",
        "aegis.decision": response.headers["x-aegis-decision"],
        "aegis.policy": "m",
    }


def test_a_tracer_that_fails_keeps_nothing_from_being_recorded(tracer, gate, wait_for, monkeypatch):
    monkeypatch.setattr(tracer, "start_span", lambda *args, **kwargs: 1 / 0)
    gate.upstream.answer(gate.upstream.completion({"tool_calls": [CALL]}, "tool_calls"))
    assert gate.through.post("/v1/chat/completions", json=CHOOSE, headers=HEADERS).status_code == 200
    wait_for(lambda: gate.recorded() == 1)


def test_without_an_exporter_there_is_no_tracer_and_an_address_needs_the_packages(monkeypatch):
    assert find_tracer({}) is None

    def export():
        raise ModuleNotFoundError("no such module", name="opentelemetry.sdk.trace")

    monkeypatch.setattr("aegis.serving.gateway.span._export", export)
    with pytest.raises(MissingPackageError, match="pip install 'aegis-hrm\\[otel\\]'"):
        find_tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"})


def test_a_provider_of_the_process_takes_the_spans(monkeypatch):
    provider = type("Provider", (), {"get_tracer": lambda self, name, version: (name, bool(version))})()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    found: Any = find_tracer({})
    assert found == ("aegis", True)


def test_an_exporter_sends_the_spans_to_its_address(httpserver, monkeypatch):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    httpserver.expect_request("/v1/traces").respond_with_data(b"")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", httpserver.url_for("").rstrip("/"))
    tracer = find_tracer()
    tracer.start_span("chat m").end()
    tracer.span_processor.force_flush()
    (sent,) = (request for request, _ in httpserver.log)
    assert b"chat m" in sent.get_data()
    tracer.span_processor.shutdown()
