from __future__ import annotations

import sqlite3
import threading
from typing import Any, cast

import pytest

from aegis.research.search import SearchCache, SearchHit, create_search

HITS = [SearchHit("Title", "Text \ud83d.", "https://example.org", "topic")]


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "search.db"


@pytest.fixture
def cache(path, clock):
    made = SearchCache(path, max_age_seconds=100, max_answers=10, clock=clock)
    yield made
    made.close()


def test_an_answer_is_kept_by_provider_query_and_limit(cache):
    assert cache.get("arxiv", "What is WAL?", 2) is None
    cache.keep("arxiv", "What is WAL?", 2, HITS)
    cache.keep("arxiv", "nothing", 2, [])
    assert cache.get("arxiv", "what is  wal?", 2) == HITS
    assert cache.get("arxiv", "nothing", 2) == []
    assert cache.get("wikipedia", "What is WAL?", 2) is None
    assert cache.get("arxiv", "What is WAL?", 3) is None


def test_the_next_process_finds_what_was_kept(cache, path, clock):
    cache.keep("arxiv", "x \ud83d", 2, HITS)
    other = SearchCache(path, max_age_seconds=100, clock=clock)
    assert other.get("arxiv", "x \ud83d", 2) == HITS
    other.close()


def test_an_answer_too_old_is_asked_for_again_and_removed(cache, path, clock):
    cache.keep("arxiv", "x", 2, HITS)
    clock.now += 101
    assert cache.get("arxiv", "x", 2) is None
    cache.prune()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM answer").fetchone() == (0,)
    connection.close()


def test_the_cache_does_not_grow_without_bound(cache, path, clock):
    for number in range(400):
        clock.now += 0.01
        cache.keep("arxiv", f"query {number}", 2, HITS)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM answer").fetchone() == (10,)
    connection.close()
    assert cache.get("arxiv", "query 399", 2) == HITS


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be looked at" * 40, b""])
def test_a_damaged_file_is_as_good_as_an_empty_one(path, clock, content):
    path.parent.mkdir()
    path.write_bytes(content)
    cache = SearchCache(path, clock=clock)
    assert cache.get("arxiv", "x", 2) is None
    cache.keep("arxiv", "x", 2, HITS)
    assert cache.get("arxiv", "x", 2) == HITS
    cache.close()


def test_an_answer_of_another_form_counts_as_missing(cache, path):
    cache.keep("arxiv", "x", 2, HITS)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE answer SET hits = '[{\"title\": 1}]'")
    connection.close()
    assert cache.get("arxiv", "x", 2) is None


def test_a_folder_that_can_not_be_made_costs_only_the_cache(tmp_path):
    (tmp_path / "file").write_text("")
    cache = SearchCache(tmp_path / "file" / "search.db")
    cache.keep("arxiv", "x", 2, HITS)
    assert cache.get("arxiv", "x", 2) is None
    cache.close()


def test_threads_may_share_a_cache(cache):
    def work(thread):
        for number in range(30):
            cache.keep("arxiv", f"{thread} {number}", 2, HITS)
            assert cache.get("arxiv", f"{thread} {number}", 2) in (HITS, None)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert cache.get("arxiv", "3 29", 2) == HITS


def test_processes_that_share_the_file_take_turns(cache, path, clock):
    other = SearchCache(path, clock=clock)
    assert [cache.next_turn("arxiv", 3), other.next_turn("arxiv", 3), cache.next_turn("arxiv", 3)] == [0, 3, 6]
    assert other.next_turn("wikipedia", 3) == 0
    clock.now += 7
    assert other.next_turn("arxiv", 3) == 2
    clock.now += 100
    assert cache.next_turn("arxiv", 3) == 0
    clock.now -= 5000  # the clock was set back
    assert cache.next_turn("arxiv", 3) == 0
    other.close()


def test_a_search_with_a_cache_keeps_its_manners_across_processes(path, clock):
    search, again = (create_search("arxiv,wikipedia,ddgs,searxng:http://x", cache=path) for _ in range(2))
    for one, other in zip(search._links, again._links, strict=True):
        mine, theirs = (cast(Any, link.provider).pace for link in (one, other))
        assert mine.across(3.0) == 0
        assert 2.5 < theirs.across(3.0) <= 3
    search.close()
    again.close()
