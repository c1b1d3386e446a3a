"""An agent by itself is loaded in its own thread: what is asked of it meanwhile holds once it is there."""

from __future__ import annotations

import threading

import pytest

from aegis.cli.session import Session, SessionOptions
from aegis.workspace import Workspace


class FakeRunner:
    """Notes what it is told, and runs until it is stopped."""

    def __init__(self):
        self.told = []
        self.stopped = threading.Event()
        self.runs = threading.Event()

    def pause(self):
        self.told.append("pause")

    def resume(self):
        self.told.append("resume")

    def stop(self):
        self.told.append("stop")
        self.stopped.set()

    def run(self):
        self.runs.set()
        assert self.stopped.wait(60)


@pytest.fixture
def loading(tmp_path, monkeypatch):
    """Return a session whose runner comes once it may, the runner, and the event that lets it come."""
    session = Session(SessionOptions(Workspace(tmp_path / "w"), teacher="scripted"))
    runner, may = FakeRunner(), threading.Event()

    def make_runner():
        assert may.wait(60)
        return runner

    monkeypatch.setattr(session, "_make_runner", make_runner)
    yield session, runner, may
    may.set()
    session.stop(60)


def test_a_pause_that_comes_while_the_agent_loads_holds(loading):
    session, runner, may = loading
    session.start()
    session.pause()
    assert session.paused
    may.set()
    assert runner.runs.wait(60)
    assert runner.told == ["pause"]
    session.start()
    assert not session.paused
    assert runner.told == ["pause", "resume"]


def test_a_stop_that_comes_while_the_agent_loads_holds(loading):
    session, runner, may = loading
    session.start()
    assert not session.stop(0)
    may.set()
    assert session.stop(60)
    assert "stop" in runner.told


def test_progress_is_heard_by_the_newest_listener_until_it_leaves(loading):
    session, _, _ = loading
    first, second = [], []
    with session.shows(lambda *how_far: first.append(how_far)):
        session._hear("Loading", 1, 2)
        with session.shows(lambda *how_far: second.append(how_far)):
            session._hear("Loading", 2, 2)
        session._hear("", 0, 0)
    session._hear("nobody hears it", 0, 0)
    assert (first, second) == ([("Loading", 1, 2), ("", 0, 0)], [("Loading", 2, 2)])


def test_a_runner_that_can_not_be_made_ends_the_session_with_the_reason(loading, monkeypatch):
    session, _, _ = loading
    told = []
    session.listen(told.append)
    monkeypatch.setattr(session, "_make_runner", lambda: 1 / 0)
    session.start()
    session.wait(60)
    assert told[-1].kind == "broke"
    with pytest.raises(ZeroDivisionError):
        session.raise_error()
