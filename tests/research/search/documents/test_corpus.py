"""The corpus: what is read of Python and of the installed distributions, and under which names."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from aegis.research.search import Corpus, SearchHit
from aegis.research.search.documents.corpus import (
    PASSAGES_PER_DISTRIBUTION,
    compiled_passages,
    language_passages,
    standard_library_passages,
)
from aegis.research.search.documents.library import module_name

from ..conftest import add_distribution


def read(folder: Path) -> list[SearchHit]:
    return list(Corpus(site_folders=(str(folder),), standard_library=None, python_itself=False).passages())


def by_title(hits: list[SearchHit]) -> dict[str, SearchHit]:
    return {hit.title: hit for hit in reversed(hits)}


def test_things_are_known_by_the_name_that_a_user_imports(site_folder: Path) -> None:
    titles = by_title(read(site_folder))
    assert {"tinypkg", "tinypkg: Watering", "tinypkg.Gauge", "tinypkg.Gauge.read", "tinypkg.water"} <= set(titles)
    assert "tinypkg.prune" in titles
    assert titles["tinypkg.sub.inner"].source == "tinypkg 1.2: tinypkg.sub"
    assert not any("_growth" in title or "unexported" in title or "_hidden" in title for title in titles)


def test_a_passage_names_its_subject_in_full_and_its_source(site_folder: Path) -> None:
    hit = by_title(read(site_folder))["tinypkg.Gauge.read"]
    assert hit.text == (
        "read(*, twice=False): Return the growth that the gauge shows, or the mean of two readings of a nervous stone."
    )
    assert (hit.source, hit.topic) == ("tinypkg 1.2: tinypkg", "tinypkg")


def test_a_readme_is_read_by_sections_without_code_badges_and_licence(site_folder: Path) -> None:
    readme = [hit for hit in read(site_folder) if hit.source == "tinypkg 1.2: README"]
    assert [hit.title for hit in readme] == ["tinypkg", "tinypkg: Watering"]
    text = " ".join(hit.text for hit in readme)
    assert "Call `tinypkg.water()` once a day." in text
    assert not any(noise in text for noise in ("badge", "import tinypkg", "hereby granted"))


def test_unreadable_files_are_passed_over_and_odd_encodings_understood(site_folder: Path) -> None:
    titles = by_title(read(site_folder))
    assert "café" in titles["tinypkg.latin"].text
    assert not any("broken" in title or "binary" in title or "tests" in title for title in titles)


def test_no_third_party_module_is_imported_or_run(site_folder: Path) -> None:
    assert "tinypkg.explodes" in by_title(read(site_folder))  # importing it would have ended this process
    assert not any(name.startswith("tinypkg") for name in sys.modules)


def test_reading_twice_gives_the_same_passages_in_the_same_order(site_folder: Path) -> None:
    first = read(site_folder)
    assert len(first) >= 8
    assert first == read(site_folder)


def test_no_text_occurs_twice(site_folder: Path) -> None:
    shared = '"""Repeat the very same words in two distributions, of which one reader needs only the first."""\n'
    for name in ("copyone", "copytwo"):
        add_distribution(site_folder, name, "1", "A copy of something else", "", {f"{name}.py": shared.encode()})
    repeated = [hit for hit in read(site_folder) if hit.text.startswith("Repeat the very same")]
    assert [hit.title for hit in repeated] == ["copyone"]


def test_a_huge_distribution_is_bounded_and_each_of_its_parts_gets_its_share(site_folder: Path) -> None:
    def functions(part: str) -> bytes:
        line = 'def f{n}():\n    """Carry the {p} load number {n} from one end of the yard to the other end of it."""\n'
        return "".join(line.format(n=n, p=part) for n in range(100)).encode()

    files = {f"huge/part{p:02}/mod{m}.py": functions(f"{p} {m}") for p in range(20) for m in range(2)}
    files |= {f"huge/part{p:02}/__init__.py": b"" for p in range(20)} | {"huge/__init__.py": b""}
    add_distribution(site_folder, "huge", "1", "A very big thing", "", files)
    titles = [hit.title for hit in read(site_folder) if hit.topic == "huge"]
    assert len(titles) == PASSAGES_PER_DISTRIBUTION
    shares = [sum(title.startswith(f"huge.part{p:02}.") for title in titles) for p in range(20)]
    assert min(shares) > 0.8 * max(shares)


def test_a_folder_without_metadata_is_no_distribution(site_folder: Path) -> None:
    (site_folder / "gone-2.0.dist-info").mkdir()
    assert {hit.topic for hit in read(site_folder)} == {"tinypkg"}


def test_the_fingerprint_follows_the_installed_versions(site_folder: Path) -> None:
    corpus = Corpus(site_folders=(str(site_folder),), standard_library=None, python_itself=False)
    before = corpus.fingerprint()
    assert corpus.fingerprint() == before
    add_distribution(site_folder, "another", "0.1", "Something more", "", {})
    assert corpus.fingerprint() != before


def test_the_real_standard_library_is_read_under_its_public_names(tmp_path: Path) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    for part in ("functools.py", "json", "asyncio", "posixpath.py", "genericpath.py"):
        copy = shutil.copytree if (library / part).is_dir() else shutil.copy
        copy(library / part, tmp_path / part)
    titles = by_title(list(standard_library_passages(tmp_path)))
    assert titles["functools.lru_cache"].text.startswith(
        "lru_cache(maxsize=128, typed=False): Least-recently-used cache"
    )
    assert {"json.dumps", "json.JSONEncoder", "asyncio.run", "asyncio.Queue", "os.path.join"} <= set(titles)
    assert titles["asyncio.run"].topic == "asyncio"
    assert all(60 <= len(hit.text) <= 600 for hit in titles.values())


def test_builtins_and_compiled_modules_tell_their_own_docstrings() -> None:
    titles = by_title(list(compiled_passages()))
    assert titles["sqlite3.Connection.backup"].text.startswith("backup(target, *, pages=-1")
    assert titles["str.casefold"].topic == "builtins"
    assert {"math.isclose", "zlib.compress", "itertools.groupby", "memoryview"} <= set(titles)


def test_language_topics_are_told_by_heading_and_by_name() -> None:
    titles = by_title(list(language_passages()))
    assert titles["The with statement"].text.startswith("The `with` statement is used to wrap the execution")
    assert titles["str.capitalize"].text.startswith("Return a copy of the string with its first character capitalized")
    assert not any("::=" in hit.text for hit in titles.values())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.py", "a.b"),
        ("a/__init__.py", "a"),
        ("a/tests/b.py", None),
        ("a/test_b.py", None),
        ("a/b-c.py", None),
        ("a/b.txt", None),
        ("../bin/b.py", None),
        ("idlelib/run.py", None),
    ],
)
def test_only_what_can_be_imported_and_is_no_test_is_a_module(path: str, name: str | None) -> None:
    assert module_name(Path(path).parts) == name
