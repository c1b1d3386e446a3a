"""A workspace whose rows are on a PostgreSQL server, by the commands that its owner types."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import aegis
from aegis.cli.main import app
from aegis.lifecycle import open_store
from aegis.store import Database
from aegis.store.engine.address import DATABASE
from aegis.types import new_id
from aegis.workspace import Workspace
from benchmarks.following import follow
from tests.dashboard.conftest import make_page

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(600)]
PERSON = "Zoë Quagmire"


@pytest.fixture
def place(postgres_server, tmp_path, monkeypatch, quick_databases):
    monkeypatch.setenv(DATABASE, postgres_server)
    monkeypatch.setattr(Database, "_open", quick_databases)  # as everybody else opens one
    return Workspace(tmp_path / f"w{new_id()}")  # the schema has the folder's name


def test_every_command_works_on_it(place, tmp_path, search_index):
    def run(*words, code=0):
        result = CliRunner().invoke(app, [words[0], "--workspace", str(place.folder), *map(str, words[1:])])
        assert result.exit_code == code, (words, result.output, result.exception)
        return result.output

    run("collect", "--teacher", "scripted", "--search", "offline", "--decisions", 5)
    with aegis.Decider("router", ["refund", "answer"], lambda state, names: names[0], workspace=place.folder) as point:
        for who in (PERSON, "Bob"):
            id = point.decide({"who": who}).id
    observer = aegis.observe("seen", ["refund", "answer"], workspace=place.folder)
    route = observer(lambda ticket: "answer")
    assert route("Ann's") == "answer"
    assert observer.flush()
    observer.close()
    for name, decisions in (("router", 2), ("seen", 1)):
        with open_store(place.point(name)) as store:
            assert not store.database.on_sqlite
            assert store.count() == decisions
    assert json.loads(run("status", "--json"))["decisions"] == 5
    assert "recorded at router" in run("report", "--reward", 1, id)
    assert "1 outcome" in run("verify", "--point", "router")
    assert "the rows are on a server" in run("doctor")
    run("savings")
    run("export", tmp_path / "out.jsonl", "--point", "router")
    assert PERSON in (tmp_path / "out.jsonl").read_text("utf-8")
    run("report", "--html", tmp_path / "report.html")
    assert "Quagmire" in (tmp_path / "report.html").read_text("utf-8")
    page = make_page(place)
    assert len(page.get("/api/decisions?point=router").json["decisions"]) == 2
    assert page.get("/api/learning?point=router").status == 200
    shown = run("forget", "--text", PERSON, "--yes")
    assert "1 decisions" in shown
    assert "still stands" not in shown
    assert "1 row erased" in run("verify", "--point", "router")


def test_two_servers_follow_a_promotion_and_a_roll_back(place):
    ((promoted, rolled_back),) = follow(place.folder, servers=2, rounds=1)
    assert len(promoted) == len(rolled_back) == 2
    with open_store(place.point("router")) as store:
        assert not store.database.on_sqlite
