"""Words in states are found by an index beside the database."""

from __future__ import annotations

import pytest

from aegis.dashboard.decisions import search
from aegis.dashboard.decisions.filter import Filter, find_page
from aegis.dashboard.decisions.search import make_query, remove_index
from aegis.lifecycle import open_store
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
    remove_index(workspace)
    assert not workspace.state_index.exists()
    assert places(workspace, "other") == [1]


def test_a_search_says_how_far_it_has_read(workspace, monkeypatch):
    monkeypatch.setattr(search, "_PART_ROWS", 4)
    monkeypatch.setattr(search, "_SECONDS", 0.0)
    monkeypatch.setattr("time.monotonic", iter(range(1000)).__next__)
    page = find_page(workspace, Filter(text="goal"))
    assert (page.places, page.reading) == ((), 0.0)
    monkeypatch.setattr(search, "_SECONDS", 2.0)
    page = find_page(workspace, Filter(text="goal"), page.before)
    assert (page.places, page.before, page.reading) == ((), 11, 0.4)
    page = find_page(workspace, Filter(text="goal"), page.before)
    assert (page.places, page.before, page.reading) == ((), 11, 0.8)
    page = find_page(workspace, Filter(text="goal"), page.before)
    assert (len(page.places), page.reading) == (10, None)
