"""What Prometheus reads of a server: requests, decisions, outcomes. Each server counts in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from aegis.rendering import counted

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_OVERHEAD_SECONDS = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)

_DECIDERS = {"hrm": "an HRM", "teacher": "a teacher", "client": "clients"}


class Metrics:
    """The counts of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "aegis_requests", "Requests by route and status", ("route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "aegis_request_seconds", "Time of a request", ("route",), registry=self.registry, buckets=_SECONDS
        )
        self._decisions = Counter(
            "aegis_decisions", "Decisions by who made them", ("point", "by"), registry=self.registry
        )
        self._outcomes = Counter("aegis_outcomes", "Outcomes reported", ("point",), registry=self.registry)
        self._overhead = Histogram(
            "aegis_gateway_overhead_seconds",
            "AEGIS's own time before the first byte of a passed answer",
            registry=self.registry,
            buckets=_OVERHEAD_SECONDS,
        )
        self._exchanges = Counter(
            "aegis_gateway_exchanges", "Passed choices by what came of them", ("result",), registry=self.registry
        )
        self.in_progress = Gauge("aegis_in_progress", "Decisions and reports in progress", registry=self.registry)

    def note_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that is over."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def note_decision(self, point: str, by: str) -> None:
        """Count a recorded decision. by: `hrm`, also where the upstream fills its tool's arguments; `teacher`, also the
        upstream of a gateway; or `client`."""
        self._decisions.labels(point, by).inc()

    def note_outcome(self, point: str) -> None:
        """Count a report."""
        self._outcomes.labels(point).inc()

    def note_overhead(self, seconds: float) -> None:
        """Take what passing a request cost."""
        self._overhead.observe(seconds)

    def note_exchange(self, result: str) -> None:
        """Count a passed choice. result: `recorded`, `no_decision`, `not_recorded` or `left_out`."""
        self._exchanges.labels(result).inc()

    def describe(self) -> str:
        """Return in one line what was served: requests, decisions by who made them, outcomes."""
        samples = [sample for metric in self.registry.collect() for sample in metric.samples]

        def total(name: str, **labels: str) -> int:
            return round(sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items()))

        made = [(by, total("aegis_decisions_total", by=by)) for by in ("hrm", "teacher", "client")]
        by_whom = ", ".join(f"{count:,} by {_DECIDERS[by]}" for by, count in made if count)
        requests = counted(total("aegis_requests_total"), "request")
        decisions = counted(sum(count for _, count in made), "decision") + (f" ({by_whom})" if by_whom else "")
        outcomes = counted(total("aegis_outcomes_total"), "outcome")
        return f"{requests}, {decisions}, {outcomes}"

    def render(self) -> bytes:
        """Return all counts in Prometheus's text format."""
        return generate_latest(self.registry)
