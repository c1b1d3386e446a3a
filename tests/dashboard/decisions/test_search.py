"""Words in states are found by an index beside the database."""

from __future__ import annotations

from datetime import datetime

import pytest

from aegis.dashboard.decisions import search
from aegis.dashboard.decisions.filter import Filter, find_page
from aegis.dashboard.decisions.search import make_query, open_index
from aegis.lifecycle import open_store
from aegis.store.engine.sqlite import empty_file
from tests.dashboard.conftest import add_decision


def places(workspace, text, **chosen):
    return list(find_page(workspace, Filter(text=text, **chosen)).places)


def test_every_word_must_be_there_and_the_last_may_go_on(workspace):
    with open_store(workspace) as store:
        add_decision(store, 10, state={"ticket": "The café's door\nis broken"})
        add_decision(store, 11, "idle", state={"ticket": "a broken phone"})
    assert places(workspace, "broken") == [12, 11]
    assert places(workspace, "CAFE broken") == [11]
    assert places(workspace, "is bro") == [11]
    assert places(workspace, "broken", action="idle") == [12]
    assert places(workspace, "what is 3") == [4]  # the argument
    assert places(workspace, "bro nothing") == []


def test_what_a_person_types_is_words_and_no_query(workspace):
    for text in ('"', "NEAR(goal", "goal*", "a AND", "ticket:x", "-", "under_score", "'; DROP TABLE words"):
        places(workspace, text)
    assert make_query("a_b-c") == '"a" AND "b" AND "c"*'


@pytest.mark.sqlite
def test_decisions_that_came_later_are_found_too_and_those_of_another_database_are_not(workspace, tmp_path):
    assert places(workspace, "goal") == list(range(10, 0, -1))
    with open_store(workspace) as store:
        add_decision(store, 10, state={"goal": "later"})
    assert places(workspace, "later") == [11]
    for path in workspace.folder.glob("aegis.db*"):
        path.unlink()
    with open_store(workspace) as store:
        add_decision(store, 50, state={"goal": "other"})
    assert places(workspace, "goal") == [1]
    assert places(workspace, "later") == []
    empty_file(workspace.state_index)
    assert workspace.state_index.stat().st_size <= 4096
    assert places(workspace, "other") == [1]


@pytest.fixture
def opened(workspace, monkeypatch):
    """Return the index of the workspace's ten decisions, read in steps of three; a search reads nothing itself."""
    monkeypatch.setattr(search, "_STEP_ROWS", 3)
    monkeypatch.setattr(search, "_SECONDS", -1.0)
    with open_store(workspace) as store, open_index(workspace, store) as index:
        yield index


def test_a_search_finds_the_newest_at_once_and_says_how_far_the_index_is(workspace, opened):
    page = find_page(workspace, Filter(text="goal"))
    assert (page.places, page.before, page.reading) == ((), 11, 0.0)
    assert opened.step()
    page = find_page(workspace, Filter(text="goal"))
    assert (page.places, page.before, page.reading) == ((10, 9, 8), 8, 0.3)
    page = find_page(workspace, Filter(text="goal"), page.before)
    assert (page.places, page.before, page.reading) == ((), 8, 0.3)
    while opened.step():
        pass
    page = find_page(workspace, Filter(text="goal"), page.before)
    assert (page.places, page.before, page.reading) == ((7, 6, 5, 4, 3, 2, 1), None, None)


def test_a_search_reads_on_by_itself_where_nothing_reads_for_it(workspace, monkeypatch):
    monkeypatch.setattr(search, "_STEP_ROWS", 3)
    assert places(workspace, "goal") == list(range(10, 0, -1))


def test_what_came_while_nobody_looked_is_read_before_what_is_older(workspace, opened):
    opened.step()
    with open_store(workspace) as store:
        for number in range(10, 15):
            add_decision(store, number)
    assert opened.step()
    assert opened.reach(16).low == 13
    assert opened.reach(11).low == 8
    assert places(workspace, "goal") == [15, 14, 13]
    assert opened.step()  # the two between
    assert opened.reach(16).low == 8
    assert places(workspace, "goal") == list(range(15, 7, -1))


def test_a_search_of_a_time_reads_the_states_of_that_time_first(workspace, opened, monkeypatch):
    with open_store(workspace) as store:
        moments = [row["decided_at"] for row in store.database.query("SELECT decided_at FROM decisions ORDER BY seq")]
    monkeypatch.setattr(search, "_SECONDS", 5.0)
    page = find_page(workspace, Filter(text="goal", until=datetime.fromisoformat(moments[5])))
    assert page.places == (5, 4, 3, 2, 1)
    assert opened.reach(11) == search.Reach(11, 0.5)


def test_a_step_that_is_killed_leaves_nothing_and_is_done_again(workspace, opened, monkeypatch):
    monkeypatch.setattr(search, "_plain", lambda text: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opened.step()
    monkeypatch.undo()
    assert opened.reach(11) == search.Reach(11, 0.0)
    assert places(workspace, "goal") == list(range(10, 0, -1))


def test_an_index_that_is_emptied_while_it_is_open_is_made_again(workspace, opened):
    opened.step()
    empty_file(workspace.state_index)
    while opened.step():
        pass
    assert places(workspace, "goal") == list(range(10, 0, -1))


def test_a_damaged_index_is_removed(workspace):
    workspace.state_index.write_bytes(b"no database" * 1000)
    empty_file(workspace.state_index)
    assert not workspace.state_index.exists()
    empty_file(workspace.state_index)
