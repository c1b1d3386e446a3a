"""Whatever goes wrong in AEGIS, an observed function answers as before; each kind of fault is logged once."""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import subprocess
import sys
import threading

import pytest

from aegis.door.observing import fault, observer, recorder
from aegis.door.observing.recorder import Recorder
from aegis.door.steward import Steward
from aegis.errors import DataError, StoreError
from aegis.lifecycle import open_store
from aegis.store import DecisionStore
from aegis.workspace import Workspace


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(recorder, "_FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(observer, "CLOSE_SECONDS", 1.0)


def broken(error):
    def raise_it(*args, **kwargs):
        raise error

    return raise_it


def test_each_kind_is_logged_once_and_counted(observing, caplog):
    observed = observing(state=lambda ticket: {"ticket": object()})(lambda ticket: "refund")
    with caplog.at_level(logging.WARNING, "aegis"):
        assert [observed("broken") for _ in range(3)] == ["refund"] * 3
    assert observed.observer.faults == {"state": 3}
    (record,) = caplog.records
    assert "support-router, observed: state: TypeError" in record.getMessage()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"state": broken(ZeroDivisionError("no state"))}, "state"),
        ({"state": lambda ticket: float("nan")}, "state"),
        ({"episode": broken(KeyError("user"))}, "state"),
        ({"action": broken(AttributeError("verdict"))}, "action"),
        ({"action": lambda value: "dance"}, "action"),
        ({"action": lambda value: ["refund"]}, "action"),
        ({"action": lambda value: None}, "action"),
    ],
)
def test_what_the_owners_readers_do_wrong_is_counted(observing, recorded, options, kind):
    observed = observing(**options)(lambda ticket: "refund")
    assert observed("broken") == "refund"
    assert observed.observer.faults == {kind: 1}


@pytest.mark.parametrize("cost", [broken(KeyError("usage")), lambda value: -1.0, lambda value: float("nan"), "much"])
def test_a_price_that_is_none_leaves_the_decision_recorded(observing, recorded, cost):
    observed = observing(cost_per_call=cost)(lambda ticket: "refund")
    assert observed("broken") == "refund"
    assert observed.observer.flush()
    assert observed.observer.faults == {"cost": 1}
    assert len(recorded()) == 1


def test_a_state_that_turns_out_to_be_none_is_left_out_and_the_others_are_recorded(observing, recorded):
    observed = observing(state=lambda ticket: ticket, episode=lambda ticket: 7 if ticket == "odd" else None)(
        lambda ticket: "refund"
    )
    for ticket in ("first", 7, "odd", "last"):  # a number is no state, and an episode has a name
        assert observed(ticket) == "refund"
    assert observed.observer.flush()
    assert [decision.state for decision in recorded()] == [{"text": "first"}, {"text": "last"}]
    assert observed.observer.faults == {"state": 2}


@pytest.mark.parametrize("error", [StoreError("locked"), OSError(28, "no space left"), MemoryError()])
def test_a_fault_of_the_disk_that_passes_loses_nothing(observing, recorded, monkeypatch, error, wait_for):
    append, failing = DecisionStore.append, threading.Event()
    failing.set()

    def fails(self, decision):
        if failing.is_set():
            raise error
        append(self, decision)

    monkeypatch.setattr(DecisionStore, "append", fails)
    observed = observing()(lambda ticket: "refund")
    for number in range(20):
        assert observed(f"broken {number}") == "refund"
    wait_for(lambda: observed.observer.faults.keys() == {"record"})
    failing.clear()
    assert observed.observer.flush()
    assert [decision.state["ticket"] for decision in recorded()] == [f"broken {number}" for number in range(20)]


def test_an_error_of_one_decision_does_not_hold_up_the_others(observing, recorded, monkeypatch):
    append = DecisionStore.append

    def fails(self, decision):
        if decision.state["ticket"] == "broken 3":
            raise DataError("not this one")
        append(self, decision)

    monkeypatch.setattr(DecisionStore, "append", fails)
    observed = observing()(lambda ticket: "refund")
    for number in range(6):
        observed(f"broken {number}")
    assert observed.observer.flush()
    assert [decision.state["ticket"][-1] for decision in recorded()] == list("01245")
    assert observed.observer.faults == {"state": 1}


def test_what_can_not_be_recorded_before_the_end_is_counted_as_lost(observing, monkeypatch):
    monkeypatch.setattr(DecisionStore, "append", broken(StoreError("locked")))
    observed = observing()(lambda ticket: "refund")
    for number in range(5):
        observed(f"broken {number}")
    observed.observer._observer.close(0.3)
    assert observed.observer.faults["lost"] == 5
    assert observed("after the end") == "refund"
    assert observed.observer.faults["closed"] == 1


@pytest.mark.sqlite  # another connection locks the file; on a server transactions wait without a file
def test_a_database_that_another_process_keeps_locked_delays_only_the_recording(observing, recorded, monkeypatch):
    monkeypatch.setattr("aegis.store.engine.sqlite.BUSY_TIMEOUT_SECONDS", 0.05)
    observed = observing()(lambda ticket: "refund")
    observed("first")
    assert observed.observer.flush()
    other = sqlite3.connect(observed.observer._observer.workspace.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert observed("second") == "refund"
    assert not observed.observer._observer.flush(0.2)
    other.execute("ROLLBACK")
    other.close()
    assert observed.observer.flush()
    assert len(recorded()) == 2


def test_a_full_queue_leaves_decisions_out_and_counts_them(observing, monkeypatch):
    monkeypatch.setattr(Recorder, "put", broken(queue.Full()))
    observed = observing()(lambda ticket: "refund")
    assert [observed("broken") for _ in range(3)] == ["refund"] * 3
    assert observed.observer.faults == {"queue": 3}


def test_a_point_that_belongs_to_others_leaves_the_function_unobserved(observing, recorded):
    first = observing()(lambda ticket: "refund")
    first("broken")
    first.observer.close()
    observed = observing(actions=["a", "b"])(lambda ticket: "a")
    assert observed("broken") == "a"
    assert not observed.observer.flush()
    assert observed("again") == "a"
    assert observed.observer.faults == {"point": 3}  # what is wrong, and two decisions
    assert len(recorded()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_written_is_counted(observing, tmp_path):
    tmp_path.chmod(0o500)
    observed = observing()(lambda ticket: "refund")
    assert observed("broken") == "refund"
    observed.observer.close()
    tmp_path.chmod(0o700)
    assert "open" in observed.observer.faults


def test_a_workspace_that_is_a_file_is_counted_and_tried_again(observing, tmp_path, recorded, wait_for):
    place = tmp_path / "points"
    place.write_text("no folder")
    observed = observing()(lambda ticket: "refund")
    assert observed("broken") == "refund"
    wait_for(lambda: "open" in observed.observer.faults)
    place.unlink()
    assert observed.observer.flush()
    assert len(recorded()) == 1


@pytest.mark.parametrize("where", ["__init__", "after", "_look_after", "close"])
def test_a_fault_of_what_trains_beside_it_is_counted(observing, recorded, monkeypatch, where, wait_for):
    monkeypatch.setattr(Steward, where, broken(RuntimeError("the steward")))
    observed = observing()(lambda ticket: "refund")
    assert observed("broken") == "refund"
    assert observed.observer.flush()
    if where == "_look_after":
        wait_for(lambda: observed.observer.faults)
    left = observed.observer._observer._recorder.steward
    observed.observer.close()
    monkeypatch.undo()
    if left is not None:
        left.close()  # its own end failed here
    assert len(recorded()) == 1
    assert observed.observer.faults.keys() <= {"steward", "close"}
    assert sum(observed.observer.faults.values()) == 1


def test_no_thread_can_be_started(observing, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", broken(RuntimeError("can't start new thread")))
    observed = observing()(lambda ticket: "refund")
    assert observed("broken") == "refund"
    assert observed.observer.faults == {"record": 1}


def test_a_log_or_a_listener_that_raises_reaches_nobody(observing, monkeypatch, learned_once):
    monkeypatch.setattr(fault.LOGGER, "warning", broken(OSError("the log's disk is full")))
    observed = observing(workspace=learned_once, notify=broken(ZeroDivisionError()), state=lambda ticket: object())(
        lambda ticket: "refund"
    )
    assert observed("broken") == "refund"
    assert observed.observer.faults == {"state": 1}


@pytest.mark.long
def test_an_hrm_that_fails_leaves_the_function_to_decide(learned, observing, rule, ticket, monkeypatch, wait_for):
    observed = observing(mode="switch")(rule)
    observed(ticket(0))
    point = observed.observer._observer
    wait_for(lambda: point._recorder.steward is not None and point._recorder.steward.policy.name == "hrm@1")
    monkeypatch.setattr(point._recorder.steward.policy, "decide", broken(RuntimeError("no graph")), raising=False)
    assert [observed(ticket(n)) for n in range(20)] == [rule(ticket(n)) for n in range(20)]
    assert observed.observer.faults.keys() == {"hrm"}


def test_the_end_of_the_process_records_what_waits(tmp_path):
    code = (
        "import sys, aegis\n"
        "@aegis.observe('shared', ['a', 'b'], workspace=sys.argv[1])\n"
        "def rule(n): return 'ab'[n % 2]\n"
        "for n in range(500): rule(n)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    with open_store(Workspace(tmp_path).point("shared")) as store:
        assert [decision.state["n"] for decision in store.decisions()] == list(range(500))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_records_by_threads_of_its_own(tmp_path):
    # By itself `close` gives up after 10 seconds, in which a busy machine may not have opened the store.
    code = (
        "import os, sys, aegis\n"
        "@aegis.observe('shared', ['a', 'b'], workspace=sys.argv[1])\n"
        "def rule(n): return 'ab'[n % 2]\n"
        "observer = rule.observer._observer; rule(0); assert observer.flush(100)\n"
        "child = os.fork()\n"
        "rule(1 if child else 2)\n"
        "observer.close(100)\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
        "os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with open_store(Workspace(tmp_path).point("shared")) as store:
        assert sorted(decision.state["n"] for decision in store.decisions()) == [0, 1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_worker_of_multiprocessing_records_all_before_it_ends(tmp_path):
    script = (
        "import aegis, multiprocessing\n"
        "@aegis.observe('router', ['a', 'b'])\n"
        "def decide(x): return 'a'\n"
        "def work(k):\n"
        "    for i in range(20): decide(f'{k} {i}')\n"
        "context = multiprocessing.get_context('fork')\n"
        "workers = [context.Process(target=work, args=(k,)) for k in range(2)]\n"
        "for one in workers: one.start()\n"
        "for one in workers: one.join()\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=120)
    with open_store(Workspace(tmp_path / "workspace").point("router")) as store:
        assert store.count() == 40
