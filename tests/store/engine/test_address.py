from __future__ import annotations

import subprocess
import sys

import pytest

from aegis.errors import ConfigError, StoreError
from aegis.store import Database
from aegis.store.engine.address import Address, find, keep, parse, refuse_password

SERVER = "postgresql://me@db.example:5433/agents"


def test_a_url_is_kept_with_its_schema_and_read_back(tmp_path):
    path = tmp_path / "mine" / "aegis.db"
    address = parse(f"{SERVER}?sslmode=require", "mine")
    keep(address, path)
    assert path.read_text("utf-8") == f"{SERVER}?sslmode=require&schema=mine\n"
    assert find(path, {}) == address == Address(f"{SERVER}?sslmode=require", "mine")


@pytest.mark.parametrize("text", ["postgresql://me:s3cret@db.example:5433/agents", f"{SERVER}?password=s3cret"])
def test_a_password_is_never_kept_and_found_again_in_the_variable(tmp_path, text):
    path = tmp_path / "mine" / "aegis.db"
    address = find(path, {"AEGIS_DATABASE": text})
    assert address is not None
    keep(address, path)
    assert "s3cret" not in path.read_text("utf-8")
    assert address.password({"AEGIS_DATABASE": text}) == "s3cret"
    assert address.password({"AEGIS_DATABASE": text.replace("agents", "others")}) == ""
    assert address.password({"AEGIS_DATABASE_PASSWORD": "other"}) == "other"
    with pytest.raises(ConfigError, match="holds a password") as raised:
        refuse_password(text)
    assert "s3cret" not in str(raised.value)


def test_a_new_workspace_is_on_the_server_of_the_variable_in_a_schema_of_its_folders_name(tmp_path):
    given = {"AEGIS_DATABASE": SERVER}
    assert find(tmp_path / "mine" / "aegis.db", given) == Address(SERVER, "mine")
    assert find(tmp_path / "mine" / "points" / "router" / "aegis.db", given) == Address(SERVER, "mine.router")
    named = {"AEGIS_DATABASE": f"{SERVER}?schema=ours"}
    assert find(tmp_path / "mine" / "aegis.db", named) == Address(SERVER, "ours")
    assert find(tmp_path / "mine" / "points" / "router" / "aegis.db", named) == Address(SERVER, "ours.router")
    assert find(tmp_path / "copy.db", given) is None


def test_a_new_point_is_where_its_agent_is(tmp_path):
    keep(Address(SERVER, "ours"), tmp_path / "mine" / "aegis.db")
    point = tmp_path / "mine" / "points" / "router" / "aegis.db"
    assert find(point, {}) == Address(SERVER, "ours.router")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "aegis.db").write_bytes(b"SQLite format 3\0")
    assert find(tmp_path / "plain" / "points" / "router" / "aegis.db", {"AEGIS_DATABASE": SERVER}) is None


def test_names_that_postgresql_would_cut_stay_apart(tmp_path):
    one, other = (parse(SERVER, "w" * 70 + ending).schema for ending in "ab")
    assert one != other
    assert len(one.encode()) <= 63


@pytest.mark.parametrize("text", ["mysql://me@host/x", "somewhere", ""])
def test_another_kind_of_server_is_refused(text):
    with pytest.raises(ConfigError, match="postgresql://USER@HOST/DATABASE"):
        parse(text, "mine")


def test_a_file_that_names_no_database_is_named(tmp_path):
    path = tmp_path / "aegis.db"
    path.write_text("postgresql://me@host/x?schema=pg_mine\n", encoding="utf-8")
    with pytest.raises(StoreError, match=r"aegis\.db: names no database: schema 'pg_mine'"):
        find(path, {})


@pytest.mark.sqlite
def test_a_look_at_an_open_database_leaves_its_locks(tmp_path):
    path = tmp_path / "aegis.db"
    with Database(path) as database:
        database.query("SELECT COUNT(*) FROM decisions")
        assert find(path, {}) is None
        # Without this process's locks the other one takes itself for the last, and removes the log under it.
        other = f"import sqlite3; c = sqlite3.connect({str(path)!r}); c.execute('SELECT * FROM decisions'); c.close()"
        subprocess.run([sys.executable, "-c", other], check=True)
        assert path.with_name("aegis.db-wal").exists()
