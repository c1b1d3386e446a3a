"""Each online provider against a local server that speaks its protocol; the answers were written for these tests."""

from __future__ import annotations

import contextlib
import importlib
import math
import sys
import threading
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug import Response

from aegis.errors import ConfigError, SearchError
from aegis.http import Manners
from aegis.research.search import SearchHit, SearchProvider
from aegis.research.search.arxiv import MANNERS as ARXIV_MANNERS
from aegis.research.search.arxiv import ArxivSearch
from aegis.research.search.engines import EngineSearch
from aegis.research.search.online import passage, title
from aegis.research.search.searxng import SearxngSearch
from aegis.research.search.wikipedia import WikipediaSearch

ANSWERS = Path(__file__).parent / "answers"
QUICK = Manners(timeout_seconds=30, attempts=2, first_pause_seconds=0.01)
FILES = {"arxiv": "arxiv{}.xml", "wikipedia": "wikipedia{}.json", "searxng": "searxng{}.json", "ddgs": "ddgs{}.html"}
JSON_PROVIDERS = ("wikipedia", "searxng")


@pytest.fixture(params=FILES)
def kind(request):
    return request.param


@pytest.fixture
def manners():
    return QUICK


@pytest.fixture
def provider(kind, manners, httpserver, monkeypatch):
    made: SearchProvider
    if kind == "arxiv":
        made = ArxivSearch(httpserver.url_for("/search"), manners)
    elif kind == "wikipedia":
        made = WikipediaSearch("en", httpserver.url_for("/search"), manners)
    elif kind == "searxng":
        made = SearxngSearch(httpserver.url_for("/"), manners)
    else:
        duckduckgo = pytest.importorskip("ddgs.engines.duckduckgo")
        monkeypatch.setattr(duckduckgo.Duckduckgo, "search_url", httpserver.url_for("/search"))
        made = EngineSearch("duckduckgo", math.ceil(manners.timeout_seconds), interval_seconds=0)
    yield made
    made.close()


@pytest.fixture
def serve(httpserver, kind):
    """Return a function that makes the server answer with a file written for this provider."""

    def answer(variant=""):
        body = (ANSWERS / FILES[kind].format(variant)).read_bytes()
        kinds = {"arxiv": "application/atom+xml", "ddgs": "text/html"}
        httpserver.expect_request("/search").respond_with_data(body, content_type=kinds.get(kind, "application/json"))

    return answer


EXPECTED = {
    "arxiv": SearchHit(
        "A Made-Up Study of Halting in Small Recurrent Models",
        "This abstract was written for a test. It tells that a small model < 30M parameters may stop early, and that"
        " `HaltingUnit` decides when.",
        "https://arxiv.org/abs/2601.00001v1",
        "cs.LG",
    ),
    "wikipedia": SearchHit(
        "Halting (test)",
        "Halting is what this article, written for a test, is about. It says 1 < 2 & that `HaltingUnit` exists.",
        "https://en.wikipedia.org/wiki/Halting_(test)",
        "Computability theory",
    ),
    "searxng": SearchHit(
        "Halting & you",
        "A page, written for a test, on halting.",
        "https://www.example.org/halting",
        "example.org",
    ),
    "ddgs": SearchHit(
        "Halting & you",
        "A page, written for a test, on halting of models.",
        "https://www.example.org/halting",
        "example.org",
    ),
}


def test_results_become_passages_best_first_with_source_and_topic(provider, kind, serve):
    serve()
    hits = provider.search("What is halting?", 5)
    assert len(hits) == 2
    assert hits[0] == EXPECTED[kind]
    assert provider.search("What is halting?", 1) == hits[:1]
    assert isinstance(provider, SearchProvider)


def test_no_results_are_no_error(provider, serve):
    serve("-empty")
    assert provider.search("What is halting?", 5) == []


@pytest.mark.parametrize("status", [429, 500])
def test_a_server_that_limits_or_breaks_is_an_error_and_not_no_results(provider, httpserver, kind, status):
    httpserver.expect_request("/search").respond_with_data("Rate exceeded.", status=status)
    with pytest.raises(SearchError, match=f"{kind}: .*status {status}"):
        provider.search("What is halting?", 5)
    assert len(httpserver.log) == (1 if kind == "ddgs" else 2)


def test_a_server_that_breaks_once_is_asked_again(provider, httpserver, kind):
    if kind == "ddgs":
        pytest.skip("the package asks each engine once")
    answers = [Response(status=503), Response((ANSWERS / FILES[kind].format("")).read_bytes())]
    httpserver.expect_request("/search").respond_with_handler(lambda request: answers.pop(0))
    assert provider.search("What is halting?", 5)[0] == EXPECTED[kind]


@pytest.mark.parametrize("manners", [replace(QUICK, timeout_seconds=0.3)])
def test_a_server_that_hangs_is_an_error_in_time(provider, httpserver, kind):
    given_up = threading.Event()
    httpserver.expect_request("/search").respond_with_handler(lambda request: given_up.wait())
    try:
        with pytest.raises(SearchError, match=f"{kind}: "):
            provider.search("What is halting?", 5)
    finally:
        given_up.set()


@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff\xfe garbage", b"<html><body>Sign in</body></html>", b"[1, 2]", b'{"results": 3}', b"{}"]
)
def test_garbage_is_an_error_and_never_a_passage(provider, httpserver, kind, body):
    httpserver.expect_request("/search").respond_with_data(body)
    if kind == "ddgs":  # a result page has no fixed form: a page without results may simply have none
        with contextlib.suppress(SearchError):
            assert provider.search("What is halting?", 5) == []
        return
    with pytest.raises(SearchError, match=f"{kind}: "):
        provider.search("What is halting?", 5)


def test_a_fault_that_a_service_reports_is_an_error(provider, kind, serve):
    if kind == "ddgs":
        pytest.skip("it says nothing")
    serve("-error")
    said = {"arxiv": "incorrect id format", "wikipedia": "maxlag: Waiting", "searxng": "none of its engines answered"}
    with pytest.raises(SearchError, match=said[kind]):
        provider.search("What is halting?", 5)


def test_entries_of_any_form_are_left_out(httpserver):
    entries = [
        None,
        3,
        "x",
        {},
        {"title": 7, "content": ["x"], "url": {}},
        {"title": "T", "content": "Good.", "url": "http://["},
    ]
    httpserver.expect_request("/search").respond_with_json({"results": entries})
    provider = SearxngSearch(httpserver.url_for("/"), QUICK)
    assert provider.search("x", 9) == [SearchHit("T", "Good.", "http://[", "web")]
    provider.close()
    pages = [
        None,
        {"title": None},
        {"title": "T", "extract": 3},
        {"title": "T", "extract": "Good.", "index": "x", "categories": [4]},
    ]
    httpserver.expect_request("/w").respond_with_json({"query": {"pages": pages}})
    wiki = WikipediaSearch("en", httpserver.url_for("/w"), QUICK)
    assert wiki.search("halting", 9) == [SearchHit("T", "Good.", "https://en.wikipedia.org/wiki/T", "wikipedia")]
    wiki.close()


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><feed xmlns="http://www.w3.org/2005/Atom"><title>&c;</title></feed>"""


def test_a_feed_that_would_grow_or_read_files_is_refused(httpserver):
    httpserver.expect_request("/search").respond_with_data(BOMB)
    provider = ArxivSearch(httpserver.url_for("/search"), QUICK)
    with pytest.raises(SearchError, match="not an Atom feed"):
        provider.search("halting", 5)
    provider.close()


def test_each_service_is_asked_in_its_own_way(provider, kind, serve, httpserver):
    serve("-empty")
    provider.search("What is `asyncio.Queue` ANDNOT (cat:x) !images?", 5)
    request = httpserver.log[0][0]
    asked = request.form if kind == "ddgs" else request.args
    if kind == "arxiv":
        assert asked["search_query"] == "all:asyncio AND all:queue AND all:andnot AND all:cat AND all:x AND all:images"
        assert (asked["start"], asked["max_results"]) == ("0", "5")
    elif kind == "wikipedia":
        assert (asked["action"], asked["generator"], asked["format"]) == ("query", "search", "json")
        assert asked["gsrsearch"] == "asyncio queue andnot cat x images"
    else:
        assert asked["q"].startswith("What is `asyncio.Queue`")
    assert request.method == ("POST" if kind == "ddgs" else "GET")


@pytest.mark.parametrize("query", ["", "  ", "\x00\u202e"])
def test_a_question_without_words_finds_nothing_and_asks_nobody(provider, httpserver, query):
    assert provider.search(query, 5) == []
    assert httpserver.log == []


def test_no_hits_can_not_be_asked_for(provider):
    with pytest.raises(ConfigError, match="at least one hit"):
        provider.search("x", 0)


def test_arxiv_is_asked_once_in_three_seconds():
    assert ARXIV_MANNERS.interval_seconds >= 3


def test_the_first_search_by_ddgs_in_a_process_knows_the_status_too(httpserver, monkeypatch):
    pytest.importorskip("ddgs")
    for name in [name for name in sys.modules if name.split(".")[0] == "ddgs"]:
        monkeypatch.delitem(sys.modules, name)
    duckduckgo = importlib.import_module("ddgs.engines.duckduckgo")
    monkeypatch.setattr(duckduckgo.Duckduckgo, "search_url", httpserver.url_for("/search"))
    httpserver.expect_request("/search").respond_with_data("Rate exceeded.", status=429)
    with pytest.raises(SearchError, match="status 429"):
        EngineSearch("duckduckgo", 30, interval_seconds=0).search("What is halting?", 5)


def test_ddgs_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ddgs.exceptions", None)
    with pytest.raises(SearchError, match=r"pip install 'aegis-hrm\[search\]'"):
        EngineSearch(interval_seconds=0).search("x", 1)


def test_searxng_that_gives_no_json_says_what_to_allow(httpserver):
    httpserver.expect_request("/search").respond_with_data("Forbidden", status=403)
    provider = SearxngSearch(httpserver.url_for("/"), QUICK)
    with pytest.raises(SearchError, match=r"allow `json` under search\.formats"):
        provider.search("x", 1)
    provider.close()


@given(st.text(st.characters(), max_size=3000))
def test_any_text_becomes_a_bounded_line_without_control_characters(text):
    for line, bound in ((passage(text), 600), (title(text), 160)):
        assert len(line) <= bound
        assert not any(unicodedata.category(character)[0] == "C" for character in line)
        assert not any(character in line for character in "\n\r\u2028\u2029")


def test_a_long_text_ends_with_a_whole_sentence():
    text = "One sentence of some length stands here. " * 40
    assert passage(text).endswith("here.")
    assert 550 < len(passage(text)) <= 600
    assert passage("word " * 400).endswith("…")
