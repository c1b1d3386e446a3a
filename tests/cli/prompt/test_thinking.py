"""The prompt's `think` loads aside: it says how far it is, and Ctrl-C ends the wait and not the loading."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import pytest

from aegis.cli.prompt.thinking import ShownPolicy
from aegis.errors import TeacherError
from aegis.lifecycle import open_store
from aegis.testing import ScriptedTeacher
from aegis.types import Progress, unheard
from aegis.workspace import Workspace


class SlowSession:
    """Loads a teacher once it may, and keeps what hears of progress."""

    def __init__(self, folder, fault=None):
        self.workspace = Workspace(folder)
        self.may = threading.Event()
        self.began = threading.Event()
        self.loads = 0
        self.fault = fault
        self.hears: Progress = unheard

    @contextlib.contextmanager
    def shows(self, progress):
        self.hears = progress
        yield

    def load_teacher(self, store):
        self.loads += 1
        self.hears("Loading a teacher", 1, 2)
        self.began.set()
        assert self.may.wait(60)
        if self.fault:
            raise self.fault
        return ScriptedTeacher()


@pytest.fixture
def session(tmp_path):
    session = SlowSession(tmp_path / "w")
    with open_store(session.workspace):
        pass
    yield session
    session.may.set()


def test_ctrl_c_ends_the_wait_and_the_next_one_gets_what_was_loaded(session, capsys):
    shown = ShownPolicy(session, lambda question: True)
    # Only once it waits: an interrupt before that would be somebody else's.

    def interrupt() -> None:
        if session.began.wait(60):
            os.kill(os.getpid(), signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        shown.look()
    other.join()
    assert "loaded behind the prompt" in capsys.readouterr().out
    session.may.set()
    shown.look()
    assert shown.name == "scripted"
    assert session.loads == 1


def test_a_teacher_that_can_not_be_loaded_is_said_and_tried_again(session):
    session.may.set()
    session.fault = TeacherError("no such model")
    shown = ShownPolicy(session, lambda question: True)
    for _ in range(2):
        with pytest.raises(TeacherError, match="no such model"):
            shown.look()
    assert session.loads == 2
