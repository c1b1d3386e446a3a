"""A span of OpenTelemetry for each choice that passed, where an exporter is configured: GenAI's conventions.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import __version__
from aegis.packages import imports_explained
from aegis.store.calls import Call

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def find_tracer(environment: Mapping[str, str] = os.environ) -> Tracer | None:
    """Return what makes spans; None where nothing is configured that takes them.

    Taken is the provider that the process has, or an exporter to the address of OpenTelemetry's own variables. Raises
    `MissingPackageError` where an address is given and the packages are not installed.
    """
    if any(environment.get(name) for name in _ENDPOINTS):
        with imports_explained("exporting spans"):
            return _export().get_tracer("aegis", __version__)
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    provider = trace.get_tracer_provider()
    unset = isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider))
    return None if unset else provider.get_tracer("aegis", __version__)


def make_span(tracer: Tracer, call: Call, seconds: float, parent: str, fields: Mapping[str, Any]) -> None:
    """Make the span of a request that has just ended. parent: its `traceparent`; fields: further attributes."""
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    ended = time.time_ns()
    given = {
        "gen_ai.operation.name": "chat",
        "gen_ai.response.id": call.response,
        "gen_ai.response.model": call.model,
        "gen_ai.usage.input_tokens": call.read,
        "gen_ai.usage.output_tokens": call.written,
        **fields,
    }
    span = tracer.start_span(
        f"chat {fields['gen_ai.request.model']}",
        TraceContextTextMapPropagator().extract({"traceparent": parent}),
        trace.SpanKind.CLIENT,
        {name: value for name, value in given.items() if value is not None},
        start_time=ended - round(seconds * 1e9),
    )
    span.end(ended)


def _export() -> Any:
    """Return a provider whose spans go to the address of OpenTelemetry's variables, in a thread of its own."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "aegis")}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
