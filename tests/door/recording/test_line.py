"""A line takes all that was put before its end, and refuses what comes later; a defect holds nobody up."""

from __future__ import annotations

import contextlib
import threading

import pytest

from aegis.door.recording.line import Line
from aegis.errors import StoreError


@contextlib.contextmanager
def room(seen):
    seen.append(("in", threading.current_thread().name))
    yield len(seen)
    seen.append(("out", threading.current_thread().name))


def test_a_line_enters_its_room_takes_all_that_waits_and_leaves():
    taken, seen, free = [], [], threading.Event()

    def work(group):
        free.wait(60)
        taken.append(list(group))

    line = Line("p", "worker", work, 2, room(seen))
    for number in range(5):
        line.put(number)
    line.end_soon(lambda: seen.append(("last", threading.current_thread().name)))
    with pytest.raises(StoreError, match="the decider 'p' is closed"):
        line.put(5)
    free.set()
    line.close()
    line.close()
    assert [one for group in taken for one in group] == [0, 1, 2, 3, 4]
    assert max(map(len, taken)) == 2
    assert (line.entered, seen) == (1, [(what, "aegis-p-worker") for what in ("in", "out", "last")])


def test_a_room_that_cannot_be_entered_is_an_error_of_who_makes_the_line():
    @contextlib.contextmanager
    def locked():
        raise StoreError("no entry")
        yield

    with pytest.raises(StoreError, match="no entry"):
        Line("locked", "worker", print, 1, locked())
    assert not [one.name for one in threading.enumerate() if "locked" in one.name and one.is_alive()]


def test_a_defect_in_the_work_is_told_and_the_others_are_taken(monkeypatch):
    taken, told = [], []

    def work(group):
        if group == [0]:
            raise ZeroDivisionError("a defect")
        taken.extend(group)

    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))
    line = Line("p", "worker", work, 1)
    for number in range(3):
        line.put(number)
    line.close()
    assert (taken, told) == ([1, 2], [ZeroDivisionError])


def test_who_closes_a_line_in_its_own_thread_does_not_wait_for_itself(wait_for):
    def work(group):
        group[0]()

    line = Line("p", "worker", work, 1)
    line.put(line.close)
    wait_for(lambda: not line._thread.is_alive())
    with pytest.raises(StoreError, match="is closed"):
        line.put(print)
