from __future__ import annotations

import threading

import pytest

from aegis.errors import ConfigError, SearchError
from aegis.research.search import SearchCache, SearchChain, SearchHit, create_provider, create_search
from aegis.research.search.chain import TOPICS
from aegis.research.search.wikipedia import WikipediaSearch


class Provider:
    """Gives its hits, or raises its fault; counts how often it is asked."""

    def __init__(self, name, hits=(), fault=None):
        self.name, self.hits, self.fault, self.asked, self.closed = name, list(hits), fault, 0, False

    def search(self, query, limit):
        self.asked += 1
        if self.fault:
            raise self.fault
        return self.hits[:limit]

    def close(self):
        self.closed = True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines():
    return []


@pytest.fixture
def chain(clock, lines):
    def make(*providers, **options):
        named = [(provider.name, provider) for provider in providers]
        return SearchChain(named, on_trouble=lines.append, clock=clock, **options)

    return make


HIT = SearchHit("T", "Text.", "s", "t")
DOWN = SearchError("b: status 500")


def test_the_first_that_finds_something_answers(chain):
    first, second, third = Provider("a"), Provider("b", [HIT]), Provider("c", [HIT])
    search = chain(first, second, third)
    assert search.search("q", 3) == [HIT]
    assert (first.asked, second.asked, third.asked) == (1, 1, 0)
    assert search.answered_by == "b"
    assert search.name == "a,b,c"


def test_the_next_provider_is_asked_where_a_provider_fails(chain, lines):
    search = chain(Provider("b", fault=DOWN), Provider("c", [HIT]))
    assert search.search("q", 3) == [HIT]
    assert search.answered_by == "c"
    assert lines == ["Search: b: status 500; left alone for 30 s"]


@pytest.mark.parametrize("order", [("works", "fails"), ("fails", "works")])
def test_a_provider_that_answers_and_finds_nothing_is_no_error(chain, order):
    providers = {"works": Provider("works"), "fails": Provider("fails", fault=SearchError("down"))}
    search = chain(*(providers[name] for name in order))
    assert search.search("q", 3) == []
    assert search.answered_by == "works"


def test_all_failing_is_an_error_with_every_reason(chain):
    search = chain(Provider("a", fault=ValueError("bad\x1b[31m page")), Provider("b", fault=DOWN))
    with pytest.raises(SearchError, match=r"^a: ValueError: bad\[31m page; b: status 500$"):
        search.search("q", 3)


def test_a_provider_that_fails_is_left_alone_for_a_while_longer_each_time(chain, clock):
    broken = Provider("b", fault=DOWN)
    search = chain(broken, Provider("c", [HIT]))
    asked_at = []
    for _ in range(200):
        before = broken.asked
        search.search("q", 3)
        asked_at += [clock.now] * (broken.asked - before)
        clock.now += 10
    assert asked_at == [0, 30, 90, 210, 450, 930, 1890]
    broken.fault, broken.hits = None, [HIT]
    clock.now = 1e9
    assert search.search("q", 3) == [HIT]
    broken.fault = DOWN
    search.search("q", 3)
    clock.now += 31
    search.search("q", 3)
    assert broken.asked == 10


def test_while_all_are_left_alone_the_error_says_so(chain):
    search = chain(Provider("b", fault=DOWN))
    for said in ("status 500", "failed lately, left alone for 30 s more"):
        with pytest.raises(SearchError, match=said):
            search.search("q", 3)


def test_a_provider_that_hangs_is_left_behind_and_the_next_provider_is_asked(lines):
    ending = threading.Event()

    class Hanging(Provider):
        def search(self, query, limit):
            ending.wait()
            return []

    def hear(line):
        lines.append(line)
        search._provider_seconds = 60  # the short time is only for the provider that hangs

    search = SearchChain([("h", Hanging("h")), ("c", Provider("c", [HIT]))], on_trouble=hear, provider_seconds=0.05)
    try:
        assert search.search("q", 3) == [HIT]
        assert lines == ["Search: h: no result within 0.05 s; left alone for 30 s"]
    finally:
        ending.set()


def test_answers_are_kept_and_not_asked_for_again(chain, tmp_path):
    provider = Provider("b", [HIT])
    search = chain(provider, cache=SearchCache(tmp_path / "s.db"))
    assert search.search("q", 3) == search.search("Q", 3) == [HIT]
    assert provider.asked == 1
    provider.fault = DOWN
    assert search.search("q", 3) == [HIT]
    with pytest.raises(SearchError):
        search.search("other", 3)
    search.close()
    assert provider.closed


def test_a_search_is_made_of_names_in_order(tmp_path):
    search = create_search("wikipedia:de, arxiv,searxng:http://localhost:8888,ddgs", cache=tmp_path / "s.db")
    assert search.name == "wikipedia:de,arxiv,searxng:http://localhost:8888,ddgs"
    assert search.topics() == list(TOPICS)
    assert not (tmp_path / "s.db").exists()
    search.close()
    assert create_search().name == "offline"
    provider = create_provider("wikipedia:de")
    assert isinstance(provider, WikipediaSearch)
    provider.close()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("bing", "'bing': choose out of offline, arxiv, wikipedia, ddgs, searxng:URL"),
        ("offline,bing", "'bing'"),
        ("", "at least one"),
        (" , ", "at least one"),
        ("arxiv,offline,arxiv", "arxiv: named twice"),
        ("searxng", "searxng:URL"),
        ("searxng:ftp://x", "give an instance's address"),
        ("wikipedia:../x", "give a language"),
        ("arxiv:x", "'arxiv:x'"),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_the_names(names, said):
    with pytest.raises(ConfigError, match=said):
        create_search(names)


def test_a_report_counts_what_a_provider_brought_and_starts_anew_with_another_order(chain, clock):
    search = chain(Provider("a"), Provider("b", fault=DOWN), Provider("c", [HIT]))
    for _ in range(3):
        search.search("q", 1)
    assert [(one.label, one.asked, one.failed, one.empty) for one in search.reports()] == [
        ("a", 3, 0, 3),
        ("b", 3, 3, 0),
        ("c", 3, 0, 0),
    ]
    assert [one.vain_share for one in search.reports()] == [1.0, 1.0, 0.0]
    search.arrange("a,b,c")
    assert search.reports()[0].asked == 3
    search.arrange("c,a")
    assert search.name == "a,b,c"
    search.arrange("c,a,b")
    assert search.name == "c,a,b"
    assert {one.asked for one in search.reports()} == {0}
    assert search.search("q", 1) == [HIT]
    assert search.answered_by == "c"
