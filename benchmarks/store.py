"""How many durable decisions a second a workspace takes: `python -m benchmarks.store`.

Threads of one process share a `Decider` whose teacher answers at once, so that the store is what takes the time: each
decision is on the disk before it returns. Batches are appended by 1,000 in a transaction, as imports are. `--folder`
picks the disk. At the end each workspace is opened anew: every acknowledged decision must be there, its chain whole.
`--postgres` measures a PostgreSQL server of its own instead, with its data in that folder, and `--database URL` one
that runs: each measurement makes a schema there and drops it.
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
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from aegis import Decider
from aegis.store import Database, DecisionStore
from aegis.store.chain.check import verify
from aegis.store.engine.address import DATABASE
from aegis.types import Action, Decision, new_id
from aegis.workspace import Workspace
from benchmarks.postgres import find_programs, serve

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


Work = Callable[[], list[str]]
"""What is measured; returns the ids that were acknowledged"""


def prepare_threads(folder: Path, threads: int, each: int, stack: ExitStack) -> Work:
    """Return work of threads that decide at one point, which is closed with the stack."""
    point = stack.enter_context(Decider(_POINT, list(NAMES), lambda state, names: names[0], workspace=folder))
    told: list[list[str]] = [[] for _ in range(threads)]

    def decide(mine: list[str]) -> None:
        mine.extend(point.decide(make_state(number)).id for number in range(each))

    def work() -> list[str]:
        run_threads([partial(decide, mine) for mine in told])
        return [id for mine in told for id in mine]

    return work


def prepare_batches(folder: Path, count: int, stack: ExitStack) -> Work:
    """Return work that appends decisions by 1,000 in a transaction."""
    made = [
        Decision(f"e{k // 20}", k % 20, make_state(k), NAMES, Action(NAMES[k % 3]), (0.5, 0.25, 0.25), "speed")
        for k in range(count)
    ]
    store = DecisionStore(stack.enter_context(Database(Workspace(folder).point(_POINT).database)))

    def work() -> list[str]:
        for start in range(0, count, BATCH):
            store.append_many(made[start : start + BATCH])
        return [decision.id for decision in made]

    return work


def run_threads(work: list[Callable[[], None]]) -> None:
    """Run functions at the same time, each in a thread, until all have ended."""
    running = [threading.Thread(target=one) for one in work]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def prepare_processes(folder: Path, processes: int, threads: int, each: int, stack: ExitStack) -> Work:
    """Return work of processes that decide at one point at once; they have started when this returns."""
    command = [sys.executable, "-m", "benchmarks.store", "--child", str(threads), str(each), "--folder", str(folder)]
    running = [
        stack.enter_context(subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        for _ in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "a process failed"

    def work() -> list[str]:
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.stdout.readline() for process in running if process.stdout is not None]
        return [id for output in outputs for id in json.loads(output)]

    return work


def run_child(folder: Path, threads: int, each: int) -> None:
    """Be one of the processes: say that it is ready, wait for a line, decide, print the ids."""
    with ExitStack() as stack:
        work = prepare_threads(folder, threads, each, stack)
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(work()), flush=True)


def measure(name: str, folder: Path, prepare: Callable[[Path, ExitStack], Work]) -> float:
    """Do work in a new workspace, check that nothing of it is lost, print and return the decisions per second."""
    with tempfile.TemporaryDirectory(prefix="aegis-store-", dir=folder) as inner:
        place = Path(inner) / f"bench-{new_id()}"  # the schema on a server has the folder's name
        with ExitStack() as stack:
            work = prepare(place, stack)
            started, busy = time.perf_counter(), time.process_time()
            told = work()
            seconds, busy = time.perf_counter() - started, time.process_time() - busy
        with Database(Workspace(place).point(_POINT).database) as database:
            recorded = {row["id"] for row in database.query("SELECT id FROM decisions")}
            assert recorded == set(told), f"{len(set(told) - recorded)} acknowledged decisions are lost"
            assert not verify(database).fault
            if not database.on_sqlite:
                database.connection.execute(f'DROP SCHEMA "{place.name}.{_POINT}" CASCADE')
    rate = len(told) / seconds
    cpu = f", {1e6 * busy / len(told):.0f} microseconds of processor each" if busy > 0.1 else ""
    print(f"{name}: {rate:,.0f} a second ({len(told):,} in {seconds:.1f} s{cpu})", flush=True)
    return rate


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--decisions", type=int, default=4000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to measure")
    parser.add_argument("--postgres", action="store_true", help="measure a PostgreSQL server, started for it")
    parser.add_argument("--database", help="measure this PostgreSQL server, e.g. postgresql://me@host/scratch")
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        run_child(given.folder, *given.child)
        return
    with ExitStack() as stack:
        if given.postgres:
            if (programs := find_programs()) is None:
                parser.error("PostgreSQL is not installed: apt install postgresql")
            os.environ[DATABASE] = stack.enter_context(serve(programs, given.folder, durable=True))
        elif given.database:
            os.environ[DATABASE] = given.database
        measure_all(given.folder, given.decisions)


def measure_all(folder: Path, count: int) -> None:
    """Measure threads, batches and processes."""
    print(f"{os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")
    for threads in (1, 8, 32):
        each = max(count // 8, 1) if threads == 1 else count // threads
        measure(f"1 process, {threads} threads", folder, partial(_threads, threads, each))
    measure("batches of 1,000", folder, lambda place, stack: prepare_batches(place, 5 * count, stack))
    processes = partial(prepare_processes, processes=8, threads=4, each=count // 32)
    measure("8 processes of 4 threads", folder, lambda place, stack: processes(place, stack=stack))


def _threads(threads: int, each: int, place: Path, stack: ExitStack) -> Work:
    return prepare_threads(place, threads, each, stack)


if __name__ == "__main__":
    main()
