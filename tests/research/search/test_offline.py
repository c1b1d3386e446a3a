"""The offline provider finds what is asked for, nothing if nothing is relevant, and its index heals itself."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis.errors import ConfigError, SearchError
from aegis.research.search import Corpus, OfflineSearch, SearchProvider, create_provider
from aegis.research.search.offline import default_index_path

from .conftest import add_distribution


@pytest.fixture
def corpus(site_folder: Path) -> Corpus:
    return Corpus(site_folders=(str(site_folder),), standard_library=None, python_itself=False)


@pytest.fixture
def search(corpus: Corpus, tmp_path: Path) -> Iterator[OfflineSearch]:
    provider = OfflineSearch(tmp_path / "index.sqlite", corpus=corpus)
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def python_search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfflineSearch]:
    """Search Python's own topics and compiled modules, which every installation has."""
    corpus = Corpus(site_folders=(), standard_library=None)
    provider = OfflineSearch(tmp_path_factory.mktemp("python") / "index.sqlite", corpus=corpus)
    yield provider
    provider.close()


def titles(provider: OfflineSearch, query: str, limit: int = 5) -> list[str]:
    return [hit.title for hit in provider.search(query, limit)]


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("What is sqlite3.Connection.backup?", "sqlite3.Connection.backup"),
        ("how do I make a backup of a sqlite3 database", "sqlite3.Connection.backup"),
        ("What is Connection.backup?", "sqlite3.Connection.backup"),
        ("How does itertools.groupby work?", "itertools.groupby"),
        ("What is the with statement?", "The with statement"),
        ("What does `for` do?", "The for statement"),
        ("what is memoryview()?", "memoryview"),
        ("MATH.ISCLOSE", "math.isclose"),
    ],
)
def test_the_thing_that_a_question_names_is_found_first(
    python_search: OfflineSearch, question: str, title: str
) -> None:
    assert titles(python_search, question)[0] == title


@pytest.mark.parametrize(
    "question", ["zzqx flurb", "function zzqx", "what is it?", "", "the weather in Paris tomorrow"]
)
def test_nonsense_and_small_talk_find_nothing(python_search: OfflineSearch, question: str) -> None:
    assert python_search.search(question, 5) == []


def test_a_passage_with_all_words_goes_before_a_passage_with_some(search: OfflineSearch) -> None:
    assert titles(search, "litres poured over stones")[0] == "tinypkg.water"


def test_most_of_the_rare_words_are_enough_where_no_passage_has_all(search: OfflineSearch) -> None:
    assert titles(search, "nervous readings growth gauge shows flurb")[0] == "tinypkg.Gauge.read"
    assert titles(search, "stone flurb zzqx") == []


def test_a_word_in_the_title_counts_more_than_a_word_in_the_text(search: OfflineSearch) -> None:
    found = titles(search, "gauge", 10)
    assert found[0] == "tinypkg.Gauge"
    assert "tinypkg: Watering" in found


def test_no_more_hits_than_asked_for_and_none_twice(search: OfflineSearch) -> None:
    for limit in (1, 3, 50):
        hits = search.search("stone", limit)
        assert 0 < len(hits) <= limit
        assert len(set(hits)) == len(hits)
    with pytest.raises(ConfigError, match="limit 0"):
        search.search("stone", 0)


def test_a_topic_has_the_number_of_its_passages(search: OfflineSearch, corpus: Corpus) -> None:
    assert search.topics() == [("tinypkg", len(list(corpus.passages())))]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(max_size=200)
    | st.lists(
        st.sampled_from(
            [
                "OR",
                "AND",
                "NOT",
                "NEAR(",
                '"',
                "*",
                "^",
                "title:",
                "-",
                "(",
                ")",
                "stone",
                "\x00",
                "'",
                "𐍈",
                "İ",
                "\ud800",
            ]
        )
    ).map(" ".join)
)
def test_no_query_whatever_raises_or_acts(python_search: OfflineSearch, query: str) -> None:
    assert len(python_search.search(query, 3)) <= 3


def test_query_syntax_is_read_as_words(search: OfflineSearch) -> None:
    assert titles(search, "NOT stone OR NEAR(water)") == titles(search, "stone near water")
    assert titles(search, 'nervous" OR title:"gauge') == titles(search, "nervous title gauge")


def test_the_index_is_built_at_the_first_search_and_only_once(corpus: Corpus, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    path = tmp_path / "new" / "folder" / "index.sqlite"
    provider = OfflineSearch(path, corpus=corpus, progress=lambda *said: heard.append(said))
    assert not path.exists()
    provider.search("stone", 1)
    told = [what.split()[0] for what, _, _ in heard if what]
    assert told == ["Waiting", "Indexing", "Indexing", "Writing"]
    assert [far for what, *far in heard if "Indexing" in what] == [[0, 1], [1, 1]]
    assert heard[-1] == ("", 0, 0)
    count = len(heard)
    OfflineSearch(path, corpus=corpus, progress=lambda *said: heard.append(said)).search("stone", 1)
    assert len(heard) == count


def test_a_new_distribution_rebuilds_the_index(search: OfflineSearch, corpus: Corpus, site_folder: Path) -> None:
    question = "sailing boats on lakes"
    assert search.search(question, 5) == []
    source = b'"""Go sailing with small boats on cold lakes, and come home before the evening wind."""\n'
    add_distribution(site_folder, "boats", "3.0", "Boats for lakes", "", {"boats.py": source})
    assert titles(OfflineSearch(search.index_path, corpus=corpus), question) == ["boats"]


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _overwrite_the_middle(path: Path) -> None:
    with path.open("rb+") as file:
        file.seek(8192)
        file.write(b"\xa5" * 8192)


def _lose_a_table_which_only_a_search_notices(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE title_key")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other_file(path: Path) -> None:
    path.write_text("no database at all " * 1000)


@pytest.mark.parametrize(
    "damage", [_truncate, _overwrite_the_middle, _lose_a_table_which_only_a_search_notices, _empty, _other_file]
)
def test_a_damaged_index_is_rebuilt(damage: Callable[[Path], None], search: OfflineSearch, corpus: Corpus) -> None:
    expected = search.search("stone", 5)
    assert expected
    search.close()
    damage(search.index_path)
    heard: list[tuple[str, int, int]] = []
    healed = OfflineSearch(search.index_path, corpus=corpus, progress=lambda *said: heard.append(said))
    assert healed.search("stone", 5) == expected
    assert heard.count(("Indexing the installed documentation, once", 0, 1)) == 1
    assert heard[-1] == ("", 0, 0)


BUILDER = """
import sys
from pathlib import Path
from aegis.research.search import Corpus, OfflineSearch
corpus = Corpus(site_folders=(sys.argv[1],), standard_library=None, python_itself=True)
tell = lambda what, done, total: print(what) if what.startswith("Indexing") and not done else None
provider = OfflineSearch(Path(sys.argv[2]), corpus=corpus, progress=tell)
print("ready", flush=True)
sys.stdin.readline()
print("found", provider.search("What is tinypkg.water?", 1)[0].title)
"""


def test_two_processes_that_build_at_once_share_one_index(site_folder: Path, tmp_path: Path) -> None:
    index = tmp_path / "cache" / "index.sqlite"
    package_folder = str(Path(sys.modules["aegis.research.search"].__file__ or "").parents[3])
    command = [sys.executable, "-c", BUILDER, str(site_folder), str(index)]
    builders = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": package_folder},
        )
        for _ in range(2)
    ]
    for builder in builders:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "ready\n"
    for builder in builders:
        assert builder.stdin is not None
        builder.stdin.write("\n")
        builder.stdin.flush()
    said = [builder.communicate(timeout=240)[0] for builder in builders]
    assert all("found tinypkg.water" in lines for lines in said)
    assert sum(lines.count("Indexing") for lines in said) == 1
    assert sorted(path.name for path in index.parent.iterdir()) == ["index.sqlite", "index.sqlite.lock"]


def test_files_that_a_killed_builder_left_behind_are_removed(search: OfflineSearch) -> None:
    old = search.index_path.with_name(search.index_path.name + ".dead.building")
    young = search.index_path.with_name(search.index_path.name + ".alive.building")
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert search.search("stone", 1)
    assert not old.exists()
    assert young.exists()


def test_threads_share_one_provider(search: OfflineSearch) -> None:
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(titles(search, "stone"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert found[0]
    assert all(one == found[0] for one in found)


def test_a_folder_that_cant_be_written_is_named_with_the_way_out(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SearchError, match="AEGIS_CACHE"):
        OfflineSearch(tmp_path / "file" / "index.sqlite", corpus=corpus).search("stone", 1)


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AEGIS_CACHE", str(tmp_path / "here"))
    assert default_index_path().parent == tmp_path / "here"
    monkeypatch.delenv("AEGIS_CACHE")
    assert "aegis-hrm" in default_index_path().parts


def test_a_provider_is_made_by_name_and_an_unknown_one_refused(tmp_path: Path) -> None:
    provider = create_provider("offline", index_path=tmp_path / "index.sqlite")
    assert isinstance(provider, SearchProvider)
    assert provider.name == "offline"
    with pytest.raises(ConfigError, match=r"'bing'.*offline"):
        create_provider("bing")
