"""The dashboard's views on a large workspace: `python -m benchmarks.dashboard [--decisions 1000000] [--cold 5]`.

Makes a workspace of that many decisions with outcomes, labels, costs and a switch (kept in --folder, and used again),
then prints the slowest of three times of each answer, in seconds, with the processor's own time; before that, a search
without an index. The rows are written without the chain of hashes, which no view reads. --cold: so many times a new
server is opened by a new Chromium (as in `make test-browser`), and words are sought at once. --live: for so many
minutes 50 decisions a second are recorded: how old the newest one on the page is, the memory of its scripts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aegis.dashboard.decisions.decision import read_short, read_whole
from aegis.dashboard.decisions.filter import Filter, find_page
from aegis.dashboard.decisions.likeness import read_like
from aegis.dashboard.decisions.reading import read_as_model
from aegis.dashboard.decisions.search import open_index
from aegis.dashboard.learning import read_learning
from aegis.dashboard.model import read_versions
from aegis.dashboard.place import Places
from aegis.dashboard.stream import Cursor, look
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry
from aegis.promotion.judging.answers import keep_answers, write_answers
from aegis.store.engine.connection import Connection
from aegis.store.engine.sqlite import empty_file
from aegis.types import Action, Decision, Outcome
from aegis.workspace import Workspace
from benchmarks.screens import CHROMIUM, served

NAMES = tuple(f"action-{number}" for number in range(8))
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PART = 5_000
"""Decisions in one transaction"""
POINT = "router"
PACE = 50
"""Decisions a second"""
MINUTE = 60
"""Looks at the page, one a second"""


def _draw_rows(rng: random.Random, count: int) -> Iterator[list[float]]:
    for _ in range(count):
        row = [rng.random() for _ in NAMES]
        yield [share / sum(row) for share in row]


ANSWERS = [json.dumps([round(share, 4) for share in row]) for row in _draw_rows(random.Random(1), 1_000)]
"""Probabilities, drawn in advance"""


def fill(place: Workspace, decisions: int) -> None:
    """Record decisions, half of them after a switch; go on where an earlier run was stopped."""
    with open_store(place) as store:
        store.claim_teacher("llm", 0, "a benchmark")
        with store.database.transaction() as connection:
            for table in ("decisions", "outcomes", "labels"):
                connection.execute(f"DROP TRIGGER IF EXISTS {table}_are_chained")
        for first in range(store.newest(), decisions, PART):
            if first >= decisions // 2 and ModelRegistry(store, place).serving() is None:
                ModelRegistry(store, place).promote(lambda name, folder: (folder / "weights").touch())
            with store.database.transaction() as connection:
                _record(connection, range(first, first + PART), decisions // 2)
            print(f"{first + PART:,} decisions", flush=True)


def _record(connection: Connection, numbers: range, switched: int) -> None:
    """Insert decisions: the teacher's, and from `switched` on an HRM's, which hands every tenth back."""
    rng, names = random.Random(numbers.start), json.dumps(NAMES)
    decided, costs, labels = [], [], []
    for number in numbers:
        policy, id = "hrm@1" if number >= switched and number % 10 else "llm", f"id-{number}"
        action, answer = NAMES[min(7, int(rng.expovariate(0.7)))], rng.choice(ANSWERS)
        state = json.dumps({"ticket": f"number {number}", "text": "my phone is broken " * 10})
        at = (BEGAN + timedelta(seconds=number)).isoformat()
        episode, step = divmod(number, 20)
        decided.append((id, f"episode-{episode}", step, state, names, action, "{}", answer, policy, at))
        if policy == "llm":
            costs.append((id, 0.001))
        elif number % 5 == 1:
            labels.append((id, "llm", answer, "audit", at))
    columns = "id, episode, step, state, actions, action, argument, probabilities, policy, decided_at"
    connection.executemany(f"INSERT INTO decisions ({columns}) VALUES ({', '.join('?' * 10)})", decided)
    connection.executemany(
        "INSERT INTO outcomes (decision_id, status, reward, recorded_at) VALUES (?, 'ok', 1.0, ?)",
        [(row[0], row[-1]) for row in decided],
    )
    connection.executemany("INSERT INTO costs (decision_id, dollars) VALUES (?, ?)", costs)
    connection.executemany(
        "INSERT INTO labels (decision_id, teacher, probabilities, reason, labelled_at) VALUES (?, ?, ?, ?, ?)", labels
    )


def slowest(job: Callable[[], object]) -> str:
    """Return the longest of three runs in seconds, and the most processor time."""
    times, worked = [], []
    for _ in range(3):
        began, cpu = time.perf_counter(), time.process_time()
        job()
        times.append(time.perf_counter() - began)
        worked.append(time.process_time() - cpu)
    return f"{max(times):.3f} ({max(worked):.3f} of the processor)"


def write_heldout(folder: Path) -> None:
    """Give a version held-out answers, so that a status weighs what it could take over."""
    rng = random.Random(2)
    labels = [rng.randrange(len(NAMES)) for _ in range(2_000)]
    rows = [[0.6 if place == label else 0.4 / 7 for place in range(len(NAMES))] for label in labels]
    write_answers(folder, keep_answers(rows, labels, [f"held-{place // 20}" for place in range(2_000)], NAMES))


def measure(folder: Path) -> None:
    """Print the time of each answer."""
    place = Workspace(folder).point(POINT)
    with open_store(place) as store:
        newest = store.newest()
        write_heldout(place.models / "hrm@1")
    middle = BEGAN + timedelta(seconds=newest // 2)
    filters = {
        "everything": Filter(),
        "one action": Filter(action="action-7"),
        "the teacher": Filter(policy="llm"),
        "the HRM's rarest action": Filter(action="action-7", policy="hrm@1"),
        "deferred": Filter(deferred=True),
        "answers that differ": Filter(wrong=True),
        "words of one state": Filter(text=f"number {newest // 2}"),
        "words of every state": Filter(text="phone broken"),
        "words and the HRM's rarest action": Filter(text="phone broken", action="action-7", policy="hrm@1"),
        "an hour in the middle": Filter(since=middle, until=middle + timedelta(hours=1)),
        "the teacher's deferred action in the first half (none)": Filter(
            deferred=True, action="action-7", until=middle
        ),
        "differing answers of the teacher's (none)": Filter(wrong=True, policy="llm"),
    }

    def show(chosen: Filter) -> int:
        page = find_page(place, chosen)
        with open_store(place) as store:
            return len(read_short(store, place, page.places))

    measure_first_search(place, newest)
    print(f"status: {slowest(lambda: Places(Workspace(folder)).to_record())}")
    for name, chosen in filters.items():
        print(f"{name}: {slowest(lambda: show(chosen))} ({show(chosen)} shown)")  # noqa: B023 - called at once
    print(f"one decision whole: {slowest(lambda: read_whole(place, f'id-{newest // 2}'))}")
    print(f"as the HRM reads it: {slowest(lambda: read_as_model(place, f'id-{newest // 2}'))}")
    print(f"its like in training: {slowest(lambda: read_like(place, f'id-{newest // 2}'))}")
    print(f"what is new, 50 decisions: {slowest(lambda: look(place, Cursor(newest - 50, newest - 50)))}")
    print(f"learning: {slowest(lambda: read_learning(place))}")
    print(f"models: {slowest(lambda: read_versions(place))}")


def measure_first_search(place: Workspace, newest: int) -> None:
    """Print how long searches take that find no index, and how long the whole index takes."""
    for text in ("phone broken", f"number {newest - 10}", f"number {newest // 2}"):
        empty_file(place.state_index)
        began = time.perf_counter()
        page = find_page(place, Filter(text=text))
        took, share = time.perf_counter() - began, 1 if page.reading is None else page.reading
        print(f"{text!r} without an index: {took:.2f} ({len(page.places)} shown, of {share:.1%} of the states)")
    began, cpu, longest = time.perf_counter(), time.process_time(), 0.0
    with open_store(place) as store, open_index(place, store) as index:
        while (at := time.perf_counter()) and index.step():
            longest = max(longest, time.perf_counter() - at)
    whole = f"{time.perf_counter() - began:.1f} ({time.process_time() - cpu:.1f} of the processor)"
    print(f"the rest of the index without pauses: {whole}, the longest step {longest:.2f}")


def open_cold(folder: Path, times: int) -> None:
    """Print how long the first view takes with a new server and a new browser, and the first search there."""
    from playwright.sync_api import sync_playwright

    place = Workspace(folder).point(POINT)
    for _ in range(times):
        empty_file(place.state_index)
        with served(folder) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page, took = browser.new_page(), []
            for go, seen in (
                (address, ".cards h2"),
                (f"{address.partition('?')[0]}#/look?point={POINT}&text=phone", ".decision"),
            ):
                began = time.monotonic()
                page.goto(go)
                page.wait_for_selector(seen)
                took.append(time.monotonic() - began)
            browser.close()
        print(f"the page {took[0]:.2f}, the first search {took[1]:.2f}, load {os.getloadavg()[0]:.1f}", flush=True)


def record_live(place: Workspace, seconds: float, ended: threading.Event) -> None:
    """Record 50 decisions with outcomes a second, each with its moment in its argument."""
    choice = Action(NAMES[0], {"query": ""})
    with open_store(place) as store:
        began, made, first = time.time(), 0, store.newest()
        while (now := time.time() - began) < seconds:
            due = range(made, int(now * PACE))
            told = replace(choice, argument={"query": f"made {time.time():.3f}"})
            for number in due:
                id, state = f"live-{first}-{number}", {"ticket": f"live {number}"}
                answer = json.loads(ANSWERS[number % len(ANSWERS)])
                store.append(
                    Decision(f"live-{first}-{number // 20}", number % 20, state, NAMES, told, answer, "hrm@1", id)
                )
                store.record_outcome(Outcome(id, "ok", 0, 1.0))
            made = due.stop if due else made
            ended.wait(1 / PACE)
        print(f"recorded {made:,} decisions in {time.time() - began:.0f} s", flush=True)
    ended.set()


def watch_live(folder: Path, minutes: float) -> None:
    """Print how fast the page opens, how far it is behind, and what memory it takes."""
    from playwright.sync_api import sync_playwright

    ended, place = threading.Event(), Workspace(folder).point(POINT)
    with served(folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        for name in ("first, with a new server", "again"):
            began = time.monotonic()
            page.goto(address)
            page.wait_for_selector(".cards h2")
            print(f"the page, {name}: {time.monotonic() - began:.2f} s", flush=True)
        page.goto(f"{address.partition('?')[0]}#/now?point={POINT}")
        page.wait_for_selector(".decision")
        session = page.context.new_cdp_session(page)
        writer = threading.Thread(target=record_live, args=(place, 60 * minutes, ended))
        writer.start()
        lags: list[float] = []
        while not ended.is_set():
            page.wait_for_timeout(1_000)
            words = page.inner_text(".decision >> nth=0")
            if found := re.search(r"made ([0-9.]+)", words):
                lags.append(time.time() - float(found[1]))
            if len(lags) == MINUTE:
                print(
                    f"behind by {statistics.median(lags):.2f} s, at most {max(lags):.2f}; {_memory(session)}",
                    flush=True,
                )
                lags.clear()
        writer.join()
        browser.close()


def _memory(session: Any) -> str:
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return f"scripts {found['JSHeapUsedSize'] / 1e6:.2f} MB, {found['Nodes']:.0f} nodes, load {os.getloadavg()[0]:.0f}"


def main() -> None:
    """Make the workspace and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("dashboard-benchmark"))
    parser.add_argument("--cold", type=int, default=0)
    parser.add_argument("--live", type=float, default=0.0)
    given = parser.parse_args()
    fill(Workspace(given.folder).point(POINT), given.decisions)
    if given.cold:
        open_cold(given.folder, given.cold)
    elif given.live:
        watch_live(given.folder, given.live)
    else:
        measure(given.folder)


if __name__ == "__main__":
    main()
