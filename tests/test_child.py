"""A child process reports as it goes, ends in time, and its errors are raised."""

from __future__ import annotations

import importlib
import multiprocessing

import pytest

from aegis.child import run_in_child
from aegis.errors import AegisError

WORK = """
import os, time
from aegis.errors import DataError

def count(tell, to):
    for number in range(to):
        tell(number)

def never_end(tell):
    tell(os.getpid())
    time.sleep(3600)

def refuse(tell):
    raise DataError("line 3 is malformed")

def die(tell):
    os._exit(7)
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a module of works that a fresh process can import, too."""
    folder = tmp_path_factory.mktemp("works")
    (folder / "works_for_a_child.py").write_text(WORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("works_for_a_child")


def test_messages_arrive_in_order(work):
    told: list[int] = []
    assert run_in_child(work.count, 3, seconds=1e9, on_message=told.append)
    assert told == [0, 1, 2]


def test_work_that_does_not_end_in_time_is_killed_and_its_messages_stay(work):
    now, told = [0.0], []

    def on_message(process_id):
        told.append(process_id)
        now[0] = 11.0

    assert not run_in_child(work.never_end, seconds=10, on_message=on_message, clock=lambda: now[0])
    assert len(told) == 1
    assert multiprocessing.active_children() == []


def test_an_interruption_ends_the_process(work):
    def interrupt(message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_child(work.never_end, seconds=1e9, on_message=interrupt)
    assert multiprocessing.active_children() == []


def test_an_error_of_the_work_is_raised_with_its_message(work):
    with pytest.raises(AegisError, match="line 3 is malformed"):
        run_in_child(work.refuse, seconds=1e9, on_message=lambda message: None)


def test_a_process_that_dies_is_an_error(work):
    with pytest.raises(AegisError, match=r"'die' ended by itself \(exit code 7\)"):
        run_in_child(work.die, seconds=1e9, on_message=lambda message: None)
