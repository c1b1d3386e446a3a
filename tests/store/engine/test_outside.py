"""Files are searched and copied by another process: this one keeps its locks on an open database."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aegis.store import Database
from aegis.store.engine.outside import copy_file, find_bytes

OTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0)
try:
    connection.execute("UPDATE tallies SET decisions = 7")
except sqlite3.OperationalError as error:
    print(error)
"""


@pytest.mark.sqlite
@pytest.mark.parametrize("look", ["search", "copy"])
def test_an_open_database_keeps_its_locks(tmp_path, look):
    path = tmp_path / "aegis.db"
    with Database(path) as database, database.transaction() as connection:
        connection.execute("INSERT INTO meta (key, value) VALUES ('a', 'planted')")
        if look == "search":
            find_bytes(tmp_path, [b"planted"])
        else:
            for ending in ("", "-wal", "-shm"):
                copy_file(path.with_name(path.name + ending), tmp_path / f"copy{ending}")
        done = subprocess.run([sys.executable, "-c", OTHER, path], check=True, capture_output=True, text=True)
        assert done.stdout == "database is locked\n"


def test_bytes_are_found_across_blocks_and_in_any_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ü.bin").write_bytes(b"x" * ((1 << 20) - 3) + b"planted" + b"y" * 50)
    (tmp_path / "other").write_bytes(b"plant")
    (tmp_path / "second").write_bytes(b"\xff\x00second")
    assert find_bytes(tmp_path, [b"planted", b"\xff\x00s"]) == [tmp_path / "in" / "ü.bin", tmp_path / "second"]


def test_a_file_that_is_missing_and_a_place_that_is_are_errors_with_their_names(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        copy_file(tmp_path / "missing", tmp_path / "copy")
    (tmp_path / "there").write_bytes(b"x")
    copy_file(tmp_path / "there", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"x"
