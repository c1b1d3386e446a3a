"""However a decider ends, no caller hangs, nothing acknowledged is lost, and nothing is printed."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter

import pytest

from aegis.door import Decider, decider
from aegis.door.steward import _Work
from aegis.errors import StoreError
from aegis.lifecycle import open_store
from aegis.workspace import Workspace

NAMES = ["a", "b"]
WAIT_SECONDS = 20
CLOSED = "the decider 'p' is closed"

PROGRAM = f"""
import os, signal, sys, threading, time
from aegis.door import Decider
def quick(state, actions):
    time.sleep(0.02)
    return "a"
decider = Decider("p", {NAMES!r}, quick, workspace=sys.argv[1])
"""


def count(workspace):
    with open_store(Workspace(workspace).point("p")) as store:
        return store.count()


def run(body, workspace):
    """Run a program that makes a decider and then this; return how it ended and what it printed."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM + body, str(workspace)], capture_output=True, text=True, timeout=60
    )
    return ran.returncode, ran.stdout.split(), ran.stderr


class Held:
    """A teacher that answers when it is let."""

    def __init__(self):
        self.begun, self.free = threading.Semaphore(0), threading.Event()

    def __call__(self, state, actions):
        self.begun.release()
        self.free.wait(WAIT_SECONDS)
        return "a"


def decide_in_threads(decider, number):
    """Let threads decide; return them, and what came of each."""
    ends = []

    def work(n):
        try:
            ends.append(decider.decide({"n": n}).action)
        except Exception as error:
            ends.append(error)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(number)]
    for thread in threads:
        thread.start()
    return threads, ends


def join(threads):
    until = time.monotonic() + WAIT_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    assert not any(thread.is_alive() for thread in threads)


def test_decisions_in_progress_are_recorded_when_another_thread_closes(tmp_path):
    held = Held()
    opened = Decider("p", NAMES, held, workspace=tmp_path)
    threads, ends = decide_in_threads(opened, 16)
    for _ in threads:
        assert held.begun.acquire(timeout=WAIT_SECONDS)
    threading.Timer(0.3, held.free.set).start()
    opened.close()
    join(threads)
    assert ends == ["a"] * 16
    assert count(tmp_path) == 16


def test_a_teacher_that_takes_too_long_is_not_waited_for_and_its_callers_hear_of_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(decider, "CLOSE_SECONDS", 0.1)
    held = Held()
    opened = Decider("p", NAMES, held, workspace=tmp_path)
    threads, ends = decide_in_threads(opened, 16)
    for _ in threads:
        assert held.begun.acquire(timeout=WAIT_SECONDS)
    opened.close()
    held.free.set()
    join(threads)
    assert Counter(type(end) for end in ends) == {StoreError: 16}
    assert all(CLOSED in str(end) for end in ends)
    assert count(tmp_path) == 0


def test_what_was_begun_soon_is_over_after_close(tmp_path):
    opened = Decider("p", NAMES, lambda state, actions: "a", workspace=tmp_path)
    recording = [opened.record_soon({"n": n}, "b") for n in range(300)]
    asked = [opened.ask_soon({"n": n}) for n in range(10)] + [opened.decide_soon({"n": n}) for n in range(10)]
    opened.close()
    assert {one.result(0).action for one in recording} == {"b"}
    assert {one.result(0) for one in asked} == {None}
    assert count(tmp_path) == 300
    for begin in (opened.decide_soon, opened.ask_soon, lambda state: opened.record_soon(state, "b")):
        with pytest.raises(StoreError, match=CLOSED):
            begin({"n": 1})


@pytest.mark.parametrize("awaits", [True, False])
def test_tasks_in_progress_end_when_their_loop_closes_the_decider(tmp_path, awaits):
    begun = []

    async def in_the_loop(state, actions):
        begun.append(1)
        await asyncio.sleep(0.2)
        return "a"

    def in_a_thread(state, actions):
        begun.append(1)
        time.sleep(0.2)
        return "a"

    async def work():
        opened = Decider("p", NAMES, in_the_loop if awaits else in_a_thread, workspace=tmp_path)
        tasks = [asyncio.ensure_future(opened.adecide({"n": n})) for n in range(20)]
        while len(begun) < 20:
            await asyncio.sleep(0.01)
        started = time.monotonic()
        opened.close()
        assert time.monotonic() - started < 5  # an async teacher needs the loop, which is not kept waiting for it
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WAIT_SECONDS)

    ends = asyncio.run(work())
    if awaits:
        assert all(isinstance(end, StoreError) and CLOSED in str(end) for end in ends)
    else:
        assert [end.action for end in ends] == ["a"] * 20
    assert count(tmp_path) == (0 if awaits else 20)


def test_tasks_that_wait_for_their_turn_hear_of_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(decider, "CLOSE_SECONDS", 0.1)
    monkeypatch.setattr("aegis.door.teacher.MOST_AT_ONCE", 1)
    held = Held()

    async def work():
        opened = Decider("p", NAMES, held, workspace=tmp_path)
        tasks = [asyncio.ensure_future(opened.adecide({"n": n})) for n in range(3)]
        while not held.begun.acquire(blocking=False):
            await asyncio.sleep(0.01)
        opened.close()
        held.free.set()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WAIT_SECONDS)

    assert [type(end) for end in asyncio.run(work())] == [StoreError] * 3


def test_threads_finish_their_decisions_after_the_main_thread(tmp_path):
    body = """
def work(n):
    for k in range(10):
        decider.decide({"n": n, "k": k})
    os.write(1, b"finished\\n")
for n in range(4):
    threading.Thread(target=work, args=(n,)).start()
"""
    assert run(body, tmp_path) == (0, ["finished"] * 4, "")
    assert count(tmp_path) == 40


@pytest.mark.parametrize(
    ("end", "code"),
    [("", 0), ("raise SystemExit(3)", 3), ("del decider; import gc; gc.collect()", 0)],
)
def test_a_decider_that_nobody_closes_ends_quietly_and_what_it_began_is_recorded(tmp_path, end, code):
    body = f"""
decider.decide({{"n": 0}})
for n in range(200):
    decider.record_soon({{"n": n}}, "b")
{end}
"""
    assert run(body, tmp_path) == (code, [], "")
    assert count(tmp_path) == 201


def test_an_interrupt_ends_it_with_the_interrupts_own_words_alone(tmp_path):
    code, _, printed = run('decider.decide({"n": 0})\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)', tmp_path)
    assert (code, count(tmp_path)) == (-2, 1)
    assert printed.splitlines()[-1] == "KeyboardInterrupt"
    assert "Exception ignored" not in printed


def test_a_decider_that_is_dropped_ends_its_threads(tmp_path, wait_for):
    opened = Decider("dropped", NAMES, lambda state, actions: "a", workspace=tmp_path)
    opened.decide({"n": 1})
    gone = weakref.ref(opened)
    del opened
    gc.collect()
    assert gone() is None
    wait_for(lambda: not [one.name for one in threading.enumerate() if "dropped" in one.name])


def test_close_from_within_notify_closes_it_whole(tmp_path, monkeypatch, wait_for):
    ends: list[Exception | None] = []

    def hear(event):
        try:
            opened.close()
        except Exception as error:
            ends.append(error)
        else:
            ends.append(None)

    monkeypatch.setattr(_Work, "look", lambda self, trains: self._steward._tell("monitor", "a word"))
    opened = Decider("within", NAMES, lambda state, actions: "a", workspace=tmp_path, notify=hear)
    wait_for(lambda: ends)
    assert ends == [None]
    with pytest.raises(StoreError, match="is closed"):
        opened.decide({"n": 1})
    opened.close()
    assert not [one.name for one in threading.enumerate() if "within" in one.name]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("end", ["decider.close()", "with decider: pass", "del decider", "sys.exit(0)"])
def test_a_fork_leaves_the_decider_to_its_parent(tmp_path, end):
    body = f"""
decider.decide({{"n": 0}})
child = os.fork()
if not child:
    try:
        decider.decide({{"n": 1}})
    except Exception as error:
        print(type(error).__name__, flush=True)
    {end}
    sys.exit(0)
for _ in range(200):
    if os.waitpid(child, os.WNOHANG)[0]:
        break
    time.sleep(0.05)
else:
    print("hangs")
    os.kill(child, 9)
decider.decide({{"n": 2}})
decider.close()
"""
    assert run(body, tmp_path) == (0, ["StoreError"], "")
    assert count(tmp_path) == 2
