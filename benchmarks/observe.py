"""What observing costs the function that is observed: `python -m benchmarks.observe`.

A function that decides at once is called alone and observed, in turn, at a steady pace. Three states: a ticket, twenty
chat messages, a page of text. Two situations: nothing else runs; an HRM of full size answers each call silently beside
it (untrained: its answers do not matter here). `delay` is the time from the end of a call until its decision is on the
disk: what is younger is lost when the process is killed.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aegis
from aegis.door.given import make_actions
from aegis.hrm import HRM, HRMPolicy, StateCodec
from aegis.lifecycle import open_store
from aegis.lifecycle.point import claim_actions
from aegis.promotion import ModelRegistry
from aegis.store import LabelBook
from aegis.workspace import Workspace

ACTIONS = ("refund", "escalate", "answer")
POINT = "router"
WORDS = "My phone came broken and nobody answers, where is my money, order 4711."
STATES: dict[str, Any] = {
    "a ticket": {"ticket": WORDS, "customer": {"tier": "gold", "orders": 12}},
    "twenty messages": [{"role": ("user", "assistant")[n % 2], "content": f"{n}: {WORDS * 3}"} for n in range(20)],
    "a page of text": WORDS * 700,
}


SITUATIONS = {False: "nothing else runs", True: "an HRM answers silently beside it"}


class Costs(NamedTuple):
    """Microseconds of a call: of the function alone, and what observing adds."""

    alone: float
    median: float
    p99: float


def decide(state: Any) -> str:
    return ACTIONS[len(state) % 3]


def put_hrm(workspace: Path) -> None:
    """Let an untrained HRM of full size serve at the point."""
    place, actions = Workspace(workspace).point(POINT), make_actions(ACTIONS)
    with open_store(place) as store:
        claim_actions(store, actions)
        ModelRegistry(store, place).promote(HRMPolicy(HRM(), StateCodec(), actions).save_as)


def compare(observed: Callable[[Any], str], state: Any, calls: int, pause: float) -> Costs:
    """Call the function alone and observed, in turn."""
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(calls):
        for function, times in ((decide, alone), (observed, beside)):
            time.sleep(pause)
            started = time.perf_counter()
            function(state)
            times.append(1e6 * (time.perf_counter() - started))
    base = statistics.median(alone)
    return Costs(base, statistics.median(beside) - base, quantile(beside, 0.99) - base)


def time_recording(observed: Any, state: Any, calls: int) -> tuple[float, float]:
    """Return the median and the 99th percentile of the delay, in milliseconds."""
    delays = []
    for _ in range(calls):
        before = observed.observer.recorded
        observed(state)
        started = time.perf_counter()
        while observed.observer.recorded == before:
            time.sleep(0.0001)
        delays.append(1e3 * (time.perf_counter() - started))
    return statistics.median(delays), quantile(delays, 0.99)


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measure(calls: int, pause: float, answers: bool) -> None:
    """Print the figures of one situation."""
    for name, state in STATES.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            if answers:
                put_hrm(folder)
            observer = aegis.observe(POINT, ACTIONS, workspace=folder, state=lambda state: state, collect=10**9)
            observed = observer(decide)
            observed(state)
            with open_store(Workspace(folder).point(POINT)) as store:
                while answers and not LabelBook(store.database).count("hrm@1"):
                    time.sleep(0.2)
                    observed(state)  # it answers once it is loaded
                costs = compare(observed, state, calls, pause)
                delay = time_recording(observed, state, min(calls, 500))
                answered = LabelBook(store.database).count("hrm@1")
            observer.close()
        beside = f", {answered} answered silently" if answers else ""
        print(
            f"{name:16} alone {costs.alone:5.1f} µs   observed +{costs.median:6.1f} µs median, +{costs.p99:7.1f} µs p99"
            f"   delay {delay[0]:.1f} ms median, {delay[1]:.1f} ms p99   faults {observer.faults or 'none'}{beside}"
        )


def processor() -> str:
    found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return found[0].split(":", 1)[1].strip() if found else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000, help="of each function")
    parser.add_argument("--pause", type=float, default=0.005, help="seconds between two calls")
    options = parser.parse_args()
    print(f"{processor()}, {options.calls} calls each, {1000 * options.pause:g} ms between two")
    for answers, title in SITUATIONS.items():
        print(f"\n{title}")
        measure(options.calls, options.pause, answers)


if __name__ == "__main__":
    main()
