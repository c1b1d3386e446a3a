"""An import's moments, numbers and episodes where the file leaves them open, and what is said of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aegis.door.intake import Intake, IntakeOptions, import_file
from aegis.formats import table
from aegis.lifecycle import open_store
from aegis.workspace import Workspace


@pytest.fixture
def point(tmp_path) -> Workspace:
    return Workspace(tmp_path).point("router")


@pytest.fixture
def bring(tmp_path, point) -> Callable[..., Intake]:
    """Return what writes rows to a file of the year 2030 and imports it."""

    def both(*rows: str, name: str = "t.csv") -> Intake:
        path: Path = tmp_path / name
        path.write_text("".join(f"{row}\n" for row in rows), "utf-8")
        os.utime(path, (1_900_000_000, 1_900_000_000))
        return import_file(path, point, IntakeOptions())

    return both


def states(point: Workspace) -> list[Any]:
    """Return the states in the order of their moments."""
    with open_store(point) as store:
        found = sorted(store.examples(), key=lambda example: example.decision.decided_at)
        return [example.decision.state for example in found]


def test_rows_without_a_time_take_their_place_in_the_file(bring, point):
    times = ["n/a", "", "2026-03-01", "", "", "2026-03-02", "2026-03-03", "", "2026-03-04"]
    rows = ["n,time,label", *(f"{place},{time},{'ab'[place % 2]}" for place, time in enumerate(times))]
    found = bring(*rows)
    assert (found.added, found.undated, found.dated) == (9, 5, True)
    # By the file's date they would be the newest ones: those by which a candidate is judged.
    assert [state["n"] for state in states(point)] == list(range(9))
    grown = bring(*rows, "9,,a", "10,2026-03-05,b")
    assert (grown.added, grown.already_there) == (2, 9)
    assert [state["n"] for state in states(point)] == list(range(11))


def test_numbers_of_a_table_stay_integers_and_no_row_comes_twice(bring, point):
    rows = ["n,zip,label", "12,01234,a", "13,01235,b"]
    assert bring(*rows).added == 2
    assert states(point) == [{"n": 12, "zip": "01234"}, {"n": 13, "zip": "01235"}]
    assert all(type(state["n"]) is int for state in states(point))
    assert bring(*rows).already_there == 2


def test_a_row_of_an_earlier_import_in_which_each_number_was_a_float_is_known(bring, point, monkeypatch):
    rows = ["n,label", "12,a", "13,b"]
    with monkeypatch.context() as earlier:
        earlier.setattr(table, "read_cell", float)
        assert bring(*rows).added == 2
    assert type(states(point)[0]["n"]) is float
    found = bring(*rows, "14,a")
    assert (found.added, found.already_there) == (1, 2)


def test_rows_without_an_episode_an_id_and_a_time_are_counted(bring):
    rows = ["n,label", *(f"{number},{'ab'[number % 2]}" for number in range(4))]
    first = bring(*rows)
    assert (first.blocks, first.nameless, first.dated) == (4, 0, False)
    # A new day's equal rows can't be told from those that are there.
    again = bring(*rows, name="day2.csv")
    assert (again.added, again.blocks, again.nameless) == (0, 0, 4)
    told = bring("n,id,session_id,label", "1,x,s,a", "2,y,s,b", name="told.csv")
    assert (told.added, told.blocks, told.nameless) == (2, 0, 0)
    assert any("id = id, session_id = episode" in note for note in told.notes)
