"""`aegis serve` with one point whose HRM is very small, so that it trains in seconds; events are printed as JSON lines.

Arguments: the workspace, the port, the address of the teacher.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from aegis.config import MonitorConfig, ReinforceConfig, TrainingConfig
from aegis.door import DeciderConfig
from aegis.lifecycle.event import RunEvent
from aegis.serving import PointBook
from aegis.serving.server import Listening, serve
from aegis.serving.setting import LimitConfig, PointConfig, ServeConfig
from benchmarks.soak.provider import TICKETS
from benchmarks.whole_way import TINY

POINT = "router"
COLLECT = 200
DECISION_SECONDS = 5.0


class SmallPoint(PointConfig):
    """A point with a very small HRM that learns from rewards, too."""

    def to_decider(self, mode: str = "switch") -> DeciderConfig:
        """Return the settings, whatever the mode."""
        return DeciderConfig(
            collect=COLLECT,
            training=TrainingConfig(epochs=6, learning_rate=3e-3),
            model=TINY,
            monitor=MonitorConfig(audit_rate=0.05),
            reinforce=ReinforceConfig(every=50),
            backend="eager",
        )


def tell(document: dict[str, object]) -> None:
    """Print one JSON object as a line."""
    print(json.dumps(document), flush=True)


def main() -> None:
    folder, port, teacher = sys.argv[1:]
    point = SmallPoint(tuple(TICKETS.values()), "openai:rule", teacher)
    config = ServeConfig({POINT: point}, limits=LimitConfig(decision_seconds=DECISION_SECONDS, shutdown_seconds=5))

    def hear(name: str, event: RunEvent) -> None:
        tell(event.to_record())

    serve(
        PointBook(Path(folder), config.points, hear),
        config,
        Listening(port=int(port)),
        lambda url: tell({"event": "serves", "message": url}),
        lambda words: tell({"event": "stopped", "message": words}),
    )


if __name__ == "__main__":
    from aegis.errors import AegisError

    try:
        main()
    except AegisError as error:
        raise SystemExit(f"error: {error}") from None
