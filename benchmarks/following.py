"""How soon do all servers of one workspace follow a promotion and a roll-back?

    python -m benchmarks.following [--servers 3 --rounds 5 --full --postgres]

Each server is a process of its own with a port of its own. A version is promoted, then rolled back, by this process;
each server is asked for decisions until its answer tells that it has followed. The time includes loading the model.
--full: an HRM of 29 million parameters in place of a small one.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import httpx2

from aegis.config import HRMConfig
from aegis.hrm import HRM, HRMPolicy
from aegis.hrm.codec import StateCodec
from aegis.lifecycle import open_store
from aegis.lifecycle.point import read_actions
from aegis.promotion import ModelRegistry
from aegis.serving import PointBook
from aegis.serving.point import NewPoint
from aegis.store.engine.address import DATABASE
from aegis.workspace import Workspace
from benchmarks.gateway import save_exported, started
from benchmarks.postgres import find_programs, serve

POINT = "router"
SMALL = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2)


def decides(client: httpx2.Client) -> bool:
    """Tell whether a server's HRM decides."""
    return client.post("/v1/decisions", json={"point": POINT, "state": {"n": 1}}).status_code == 200


def measure(clients: list[httpx2.Client], act: Callable[[], object], expected: bool) -> list[float]:
    """Return after how many seconds each server followed."""
    took: dict[int, float] = {}
    act()  # returns once it is recorded
    began = time.perf_counter()
    while len(took) < len(clients):
        for number, client in enumerate(clients):
            if number not in took and decides(client) == expected:
                took[number] = time.perf_counter() - began
        time.sleep(0.01)
    return list(took.values())


def follow(folder: Path, servers: int, rounds: int, full: bool = False) -> list[tuple[list[float], list[float]]]:
    """Return the seconds of each server after each promotion and after each roll-back, in a new workspace."""
    with ExitStack() as stack:
        with closing(PointBook(folder, {})) as book:
            book.find(POINT, NewPoint(("refund", "escalate", "answer"), "gpt", "requests"))
        serve = ("-m", "aegis", "serve", "--workspace", str(folder), "--port", "0")
        urls = [stack.enter_context(started(*serve))[0] for _ in range(servers)]
        clients = [stack.enter_context(httpx2.Client(base_url=url, timeout=60, trust_env=False)) for url in urls]
        workspace = Workspace(folder).point(POINT)
        store = stack.enter_context(open_store(workspace))
        registry = ModelRegistry(store, workspace)
        save = save_exported(HRMPolicy(HRM(HRMConfig() if full else SMALL), StateCodec(48), read_actions(store)))
        for client in clients:
            assert not decides(client)  # each has the point open
        return [
            (
                measure(clients, lambda: registry.promote(save), True),
                measure(clients, lambda: registry.roll_back(None, "owner", "measured"), False),
            )
            for _ in range(rounds)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--postgres", action="store_true", help="the store is a PostgreSQL server, started for it")
    given = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if given.postgres:
            if (programs := find_programs()) is None:
                parser.error("PostgreSQL is not installed: apt install postgresql")
            os.environ[DATABASE] = stack.enter_context(serve(programs, Path(tempfile.gettempdir()), durable=True))
        rounds = follow(Path(folder), given.servers, given.rounds, given.full)
    for name, took in zip(("promotion", "roll-back"), zip(*rounds, strict=True), strict=True):
        seconds = [one for each in took for one in each]
        print(f"{name:<10} followed after {statistics.median(seconds):.2f} s (median), {max(seconds):.2f} s at most")


if __name__ == "__main__":
    main()
