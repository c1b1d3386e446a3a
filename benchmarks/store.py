"""How many durable decisions a second a workspace takes: `python -m benchmarks.store`.

Threads of one process share a `Decider` whose teacher answers at once, so that the store is what takes the time: each
decision is on the disk before it returns. Batches are appended by 1,000 in a transaction, as imports are. `--folder`
picks the disk. At the end each workspace is opened anew: every acknowledged decision must be there, its chain whole.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from aegis import Decider
from aegis.store import Database, DecisionStore
from aegis.store.chain.check import verify
from aegis.types import Action, Decision
from aegis.workspace import Workspace

NAMES = ("look", "ask", "wait")
BATCH = 1000
_POINT = "speed"


def make_state(number: int) -> dict[str, object]:
    """Return a state of about 250 bytes."""
    return {
        "goal": f"find out {number}",
        "seen": [f"{number}-{k}" for k in range(10)],
        "open": [number, None, "x" * 80],
    }


def decide(folder: Path, threads: int, each: int) -> list[str]:
    """Let threads decide at one point; return the ids that were acknowledged."""
    told: list[list[str]] = [[] for _ in range(threads)]

    with Decider(_POINT, list(NAMES), lambda state, names: names[0], workspace=folder) as point:

        def work(mine: list[str]) -> None:
            mine.extend(point.decide(make_state(number)).id for number in range(each))

        run_threads([lambda mine=mine: work(mine) for mine in told])  # type: ignore[misc]
    return [id for mine in told for id in mine]


def append_batches(folder: Path, count: int) -> list[str]:
    """Append decisions by 1,000 in a transaction; return their ids."""
    made = [
        Decision(f"e{k // 20}", k % 20, make_state(k), NAMES, Action(NAMES[k % 3]), (0.5, 0.25, 0.25), "speed")
        for k in range(count)
    ]
    with Database(Workspace(folder).point(_POINT).database) as database:
        store = DecisionStore(database)
        for start in range(0, count, BATCH):
            store.append_many(made[start : start + BATCH])
    return [decision.id for decision in made]


def run_threads(work: list[Callable[[], None]]) -> None:
    """Run functions at the same time, each in a thread, until all have ended."""
    running = [threading.Thread(target=one) for one in work]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def decide_in_processes(folder: Path, processes: int, threads: int, each: int) -> list[str]:
    """Let processes decide at one point at once; return the ids that they printed. They start within the time."""
    command = [sys.executable, "-m", "benchmarks.store", "--child", str(threads), str(each), "--folder", str(folder)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    outputs = [process.communicate()[0] for process in running]
    assert not any(process.returncode for process in running), "a process failed"
    return [id for output in outputs for id in json.loads(output)]


def measure(name: str, folder: Path, work: Callable[[Path], list[str]]) -> float:
    """Do work in a new workspace, check that nothing of it is lost, print and return the decisions per second."""
    with tempfile.TemporaryDirectory(prefix="aegis-store-", dir=folder) as inner:
        place = Path(inner)
        Database(Workspace(place).point(_POINT).database).close()  # the migrations are not measured
        started, busy = time.perf_counter(), time.process_time()
        told = work(place)
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        with Database(Workspace(place).point(_POINT).database) as database:
            recorded = {row["id"] for row in database.query("SELECT id FROM decisions")}
            assert recorded == set(told), f"{len(set(told) - recorded)} acknowledged decisions are lost"
            assert not verify(database).fault
    rate = len(told) / seconds
    cpu = f", {1e6 * busy / len(told):.0f} microseconds of processor each" if busy > 0.1 else ""
    print(f"{name}: {rate:,.0f} a second ({len(told):,} in {seconds:.1f} s{cpu})", flush=True)
    return rate


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--decisions", type=int, default=4000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to measure")
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(decide(given.folder, *given.child)))
        return
    count = given.decisions
    print(f"{os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")
    for threads in (1, 8, 32):
        each = count // threads if threads > 1 else count // 8
        measure(f"1 process, {threads} threads", given.folder, lambda place, n=threads, k=each: decide(place, n, k))  # type: ignore[misc]
    measure("batches of 1,000", given.folder, lambda place: append_batches(place, 5 * count))
    measure(
        "8 processes of 4 threads, with their start",
        given.folder,
        lambda place: decide_in_processes(place, 8, 4, count // 32),
    )


if __name__ == "__main__":
    main()
