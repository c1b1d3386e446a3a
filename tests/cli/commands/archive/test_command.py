"""`aegis archive`: what it says, and what status, verify, doctor, forget and the dashboard say then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.dashboard.decisions.decision import read_whole
from aegis.dashboard.decisions.filter import Filter
from aegis.dashboard.decisions.listing import list_page
from aegis.store import Database, DecisionStore
from aegis.types import Action, Decision, Outcome, utc_now
from aegis.workspace import Workspace

COUNT = 20


@pytest.fixture(autouse=True)
def with_pyarrow():
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: make install")


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def place(tmp_path):
    """Return a workspace with decisions of a day each, the newest of today."""
    made = Workspace(tmp_path / "mine")
    with Database(made.database) as database:
        store = DecisionStore(database)
        for step in range(COUNT):
            at = utc_now() - timedelta(days=COUNT - 1 - step)
            state = {"customer": f"Anna Example {step}", "words": "late parcel"}
            store.append(Decision("e", step, state, ("x", "y"), Action("x"), (0.75, 0.25), "rule", f"d{step}", at))
            if step % 2:
                store.record_outcome(Outcome(f"d{step}", "ok", reward=1.0, detail=f"told {step}"))
    return made


def test_older_decisions_are_archived_and_everything_still_knows_them(place):
    own = ("--workspace", place.folder)
    dry = run("archive", "--older-than", "228h", "--dry-run", *own)
    assert "10 decisions would be archived" in dry.output
    assert not place.archive.exists()
    done = run("archive", "--older-than", "228h", *own)
    assert done.exit_code == 0, done.output
    assert "10 decisions archived: 1 file of" in done.output
    assert "database:" in done.output
    assert "5 of them have no outcome yet" in done.output
    assert "no decision is old enough" in run("archive", "--older-than", "228h", *own).output
    assert "Archived:   10 of the oldest decisions" in run("status", *own).output
    verified = run("verify", *own)
    assert "20 decisions, 10 outcomes: none changed" in verified.output
    assert "1 file of archived decisions with the bytes that were written" in verified.output
    examined = run("doctor", *own)
    assert examined.exit_code == 0, examined.output
    assert "1 file of archived decisions" in examined.output


def test_the_dashboard_lists_archived_decisions_and_says_how_many_there_are(place):
    run("archive", "--keep", 5, "--workspace", place.folder)
    page = list_page(place, Filter())
    assert (page["archived"], len(page["decisions"])) == (15, COUNT)
    assert page["decisions"][-1]["state"] == "customer: Anna Example 0; words: late parcel"
    whole = read_whole(place, "d1")
    assert (whole["state"]["customer"], whole["detail"], whole["actions"]) == ("Anna Example 1", "told 1", ["x", "y"])
    next(place.archive.iterdir()).unlink()
    assert "is missing" in list_page(place, Filter())["decisions"][-1]["state"], "the page still opens"


def test_doctor_names_a_damaged_file_and_puts_aside_what_a_kill_left(place):
    own = ("--workspace", place.folder)
    run("archive", "--keep", 5, *own)
    (file,) = place.archive.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    damaged = run("doctor", *own)
    assert damaged.exit_code == 1
    said = " ".join(damaged.output.split())
    assert f"{file.name} is not as it was written: it holds 15 decisions up to number 15" in said
    file.write_bytes(whole)
    (place.archive / ".record.tmp").write_bytes(b"half")
    repaired = run("doctor", "--repair", *own)
    assert repaired.exit_code == 0, repaired.output
    assert [path.name for path in place.archive.iterdir()] == [file.name]


def test_a_person_is_forgotten_in_the_archive_too(place):
    own = ("--workspace", place.folder)
    run("archive", "--before", f"{datetime.now(UTC) - timedelta(days=5):%Y-%m-%d}", *own)
    done = run("forget", "--where", "customer=Anna Example 3", "--yes", *own)
    assert done.exit_code == 0, done.output
    assert "1 decisions" in done.output
    assert "still stands" not in done.output
    assert run("verify", *own).exit_code == 0
    with Database(place.database) as database:
        assert DecisionStore(database).get("d3") is None
        assert DecisionStore(database).get("d4") is not None


def test_one_way_of_choosing_is_asked_for(place):
    for given in ((), ("--keep", 5, "--older-than", "9d"), ("--older-than", "soon"), ("--before", "soon")):
        refused = run("archive", *given, "--workspace", place.folder)
        assert refused.exit_code == 2, given
