"""Keys go from a command to the actor on its machine by a file that its user alone can read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aegis.cluster.lending import VARIABLES, borrow, lend, take_back
from aegis.errors import TeacherError


@pytest.fixture
def lent():
    path = lend({"OPENAI_API_KEY": "sk-planted", "OPENAI_API_KEY_FILE": "key.txt", "PGPASSWORD": "", "HOME": "/root"})
    yield path
    take_back(path)


def test_only_its_user_can_read_what_is_lent_and_nothing_is_left_of_it(lent):
    assert (lent.stat().st_mode & 0o777, lent.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    take_back(lent)
    assert not lent.parent.exists()


def test_what_is_lent_is_set_and_a_path_is_found_from_any_folder(lent, monkeypatch, tmp_path):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGPASSWORD", "its own")
    before, home = Path.cwd(), os.environ.get("HOME")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    borrow(lent)
    assert os.environ["OPENAI_API_KEY"] == "sk-planted"
    assert os.environ["OPENAI_API_KEY_FILE"] == str(before / "key.txt")
    assert (os.environ["PGPASSWORD"], os.environ.get("HOME")) == ("its own", home)


def test_a_file_that_is_not_there_is_named_without_a_traceback(lent):
    take_back(lent)
    with pytest.raises(TeacherError, match="start Ray on the machine of the command as the same user"):
        borrow(lent)
