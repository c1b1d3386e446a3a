"""`aegis collect` with a teacher behind an endpoint and a search in the web, against local servers."""

from __future__ import annotations

import json
import math

import pytest
from typer.testing import CliRunner

from aegis.cli.display.block import FALLING_REWARDS
from aegis.cli.main import app
from aegis.cli.session import Session, SessionOptions
from aegis.cli.world import ready_search
from aegis.research.search import Corpus
from aegis.store import Database, DecisionStore, UsageLedger
from aegis.workspace import Workspace

KEY = "sk-very-secret-key"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("AEGIS_BASE_URL", "OPENAI_BASE_URL", "AEGIS_SEARCH", "AEGIS_MAX_TOKENS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def endpoint(httpserver):
    """An endpoint that says `search` with 80%, and counts 100 tokens a request."""
    tokens = {"search": 0.8, "ask": 0.1, "propose": 0.05, "idle": 0.05}
    listed = [{"token": token, "logprob": math.log(chance)} for token, chance in tokens.items()]
    answer = {
        "choices": [
            {"message": {"content": "search"}, "logprobs": {"content": [listed[0] | {"top_logprobs": listed}]}}
        ],
        "usage": {"prompt_tokens": 90, "completion_tokens": 10},
    }
    httpserver.expect_request("/v1/chat/completions", method="POST").respond_with_json(answer)
    return httpserver.url_for("/v1")


@pytest.fixture
def searxng(httpserver):
    """A SearXNG instance that finds a new page for each query."""
    from werkzeug import Response

    def answer(request):
        query = request.args["q"]
        page = {"title": f"On {query}", "content": f"A page on {query}", "url": "https://example.org"}
        return Response(json.dumps({"results": [page]}))

    httpserver.expect_request("/search").respond_with_handler(answer)
    return f"searxng:{httpserver.url_for('/')}"


@pytest.fixture
def run(tmp_path):
    def invoke(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments), "--workspace", str(tmp_path / "w")])

    return invoke


@pytest.fixture
def read_back(tmp_path):
    def read():
        with Database(tmp_path / "w" / "aegis.db") as database:
            store = DecisionStore(database)
            return store.teacher(), list(store.examples()), UsageLedger(database.path)(0, 0)

    return read


def test_an_endpoint_decides_and_its_probabilities_are_recorded(run, endpoint, searxng, read_back):
    result = run("collect", "--teacher", "openai:tiny-1", "--base-url", endpoint, "--search", searxng, "--decisions", 4)
    assert result.exit_code == 0, result.output
    teacher, examples, used = read_back()
    assert (teacher.name, teacher.source) == ("tiny-1", f"openai:tiny-1@{endpoint}")
    assert [example.decision.probabilities for example in examples] == [pytest.approx((0.8, 0.1, 0.05, 0.05))] * 4
    assert all(example.outcome.gained == 1 for example in examples)
    assert {example.outcome.result["provider"] for example in examples} == {searxng}
    assert used == (360, 40)
    assert f"Endpoint: {endpoint} (with a key)" in result.output
    assert KEY not in result.output


def test_a_workspace_goes_on_with_its_own_endpoint_and_its_own_budget(run, endpoint, searxng, read_back):
    first = run("collect", "--teacher", "openai:tiny-1", "--base-url", endpoint, "--search", searxng, "--decisions", 2)
    assert first.exit_code == 0, first.output
    second = run("collect", "--search", searxng, "--decisions", 9, "--max-tokens", 400)
    assert second.exit_code == 2
    assert "Teacher: tiny-1 (this workspace's own)" in second.output
    assert "the budget of 400 tokens is used up" in second.stderr
    _, examples, used = read_back()
    assert len(examples) == 4
    assert used == (360, 40)
    third = run("run", "--base-url", endpoint, "--search", searxng, "--decisions", 1)
    assert third.exit_code == 0, third.output


def test_an_endpoint_that_is_down_is_told_of_in_a_line_each_and_nothing_is_lost(run, httpserver, searxng, endpoint):
    httpserver.clear()
    httpserver.expect_request("/v1/chat/completions").respond_with_data("down", status=503)
    result = run("collect", "--teacher", "openai:tiny-1", "--base-url", endpoint, "--search", searxng)
    assert result.exit_code == 2
    assert result.output.count("Teacher tiny-1: status 503: down; attempt") == 5
    assert "check --base-url and that the server runs" in result.stderr
    assert KEY not in result.output + result.stderr


def test_a_search_that_fails_is_told_of_and_the_agent_goes_on(run, httpserver, read_back):
    httpserver.expect_request("/search").respond_with_data("", status=500)
    result = run("collect", "--teacher", "scripted", "--search", f"searxng:{httpserver.url_for('/')}", "--decisions", 3)
    assert result.exit_code == 0, result.output
    assert result.output.count("Search: searxng") == 1  # then it is left alone for a while
    _, examples, _ = read_back()
    searches = [example.outcome for example in examples if example.decision.action.name == "web_search"]
    assert searches
    assert all(outcome.status == "failed" and outcome.components == {"failed": -0.2} for outcome in searches)
    assert "status 500" in searches[0].detail


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--search", "bing"], "search provider 'bing': choose out of offline, arxiv"),
        (["--base-url", "http://localhost:1/v1"], "goes with --teacher openai:MODEL, not with scripted"),
        (["--max-cost", "3"], "--max-cost needs --prices"),
        (["--prices", "cheap"], "give two numbers, IN,OUT"),
        (["--max-tokens", "0"], "--max-tokens must be at least 1"),
        (["--action-timeout", "0"], "--action-timeout must be above 0"),
    ],
)
def test_an_option_out_of_bounds_is_an_error_that_names_it(run, arguments, said):
    result = run("collect", "--teacher", "scripted", "--decisions", 1, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_an_endpoint_without_a_key_says_which_to_set(run, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    result = run("collect", "--teacher", "openai:gpt-4o-mini", "--decisions", 1)
    assert result.exit_code == 2
    assert "set OPENAI_API_KEY, or give your own server's --base-url" in result.stderr


def test_an_agent_by_itself_asks_and_searches_as_collect_does_and_has_the_same_budget(
    run, endpoint, searxng, read_back
):
    options = ("--teacher", "openai:tiny-1", "--base-url", endpoint, "--search", searxng, "--headless")
    result = run("start", *options, "--interval", 0, "--max-decisions", 4, "--action-timeout", 9)
    assert result.exit_code == 0, result.output
    teacher, examples, used = read_back()
    assert (teacher.name, teacher.source) == ("tiny-1", f"openai:tiny-1@{endpoint}")
    assert {example.outcome.result["provider"] for example in examples} == {searxng}
    assert used == (360, 40)
    assert KEY not in result.output


def test_a_search_provider_that_there_is_not_ends_a_start_with_the_choice(run):
    result = run("start", "--teacher", "scripted", "--search", "altavista", "--headless", "--max-decisions", 1)
    assert result.exit_code == 2
    assert "search provider 'altavista': choose out of offline, arxiv" in result.stderr


@pytest.mark.parametrize("command", ["collect", "run"])
def test_questions_that_wait_for_a_person_are_announced_as_they_come(command, run, read_back, monkeypatch, tmp_path):
    monkeypatch.setattr("aegis.research.search.offline.OfflineSearch.search", lambda self, query, limit: [])
    result = run(command, "--teacher", "scripted", "--decisions", 30, "--seed", 1)
    assert result.exit_code == 0, result.output
    waiting = [line for line in result.output.splitlines() if "waits for you" in line]
    _, examples, _ = read_back()
    asked = [example for example in examples if example.decision.action.name in ("ask_human", "propose_improvement")]
    assert 0 < len(waiting) <= len(asked)
    where = f" --workspace {tmp_path / 'w'}"
    assert waiting[0].endswith(f"-> aegis approve 1{where} or aegis reject 1{where}")
    again = run(command, "--teacher", "scripted", "--decisions", 10)
    assert FALLING_REWARDS in again.output  # nothing is found in this world
    assert waiting[0].split(", ")[0] in again.output  # what waits already, too


def test_the_making_of_an_index_is_shown_while_a_command_waits_for_it(told, tmp_path):
    steps = told("world")
    corpus = Corpus(site_folders=(str(tmp_path),), standard_library=None)
    with ready_search("offline", Workspace(tmp_path / "w"), print, corpus) as search:
        heard = [what for what, _, _ in steps]
        assert "Indexing the installed documentation, once" in heard
        assert heard[-1] == ""
        assert search.search("What is a for loop?", 1)
        assert len(steps) == len(heard)


def test_the_making_of_an_index_is_told_to_the_screen_of_an_agent_by_itself(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr("aegis.research.search.create_search", lambda names, **options: made.append(options))
    session, heard = Session(SessionOptions(Workspace(tmp_path / "w"))), []
    session.make_search()
    with session.shows(lambda *far: heard.append(far)):
        made[0]["progress"]("Indexing the installed documentation, once", 57, 114)
    assert heard == [("Indexing the installed documentation, once", 57, 114)]
