"""Sources read by several processes: the same passages in the same order, whatever becomes of the processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis.research.search import Corpus
from aegis.research.search.documents import reading

from ..conftest import add_distribution


@pytest.fixture
def corpus(site_folder: Path) -> Corpus:
    for number in range(9):
        source = f'"""Count the boats of harbour number {number}, and tell the keeper of it in the evening."""\n'
        add_distribution(site_folder, f"boats{number}", "1", "Boats", "", {f"boats{number}.py": source.encode()})
    return Corpus(site_folders=(str(site_folder),), standard_library=None, python_itself=False)


def test_two_processes_read_the_same_passages_as_one_process(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = corpus.sources()
    alone = list(reading.read_sources(corpus.fields(), sources, readers=1))
    assert sum(map(len, alone)) >= 17
    monkeypatch.setattr(reading.Source, "read", None)  # this process must not read
    assert list(reading.read_sources(corpus.fields(), sources, readers=2)) == alone


def test_without_child_processes_this_process_reads(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = corpus.sources()
    alone = list(reading.read_sources(corpus.fields(), sources, readers=1))
    monkeypatch.setattr(reading, "_READER", "raise SystemExit(1)")
    assert list(reading.read_sources(corpus.fields(), sources, readers=2)) == alone


def test_nobody_waits_for_what_is_being_read_when_the_reading_is_broken_off(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = corpus.sources()
    answers_once = "import sys, time; sys.stdin.readline(); print('[]', flush=True); time.sleep(1000)"
    monkeypatch.setattr(reading, "_READER", answers_once)
    monkeypatch.setattr(reading.Source, "read", None)
    passages = reading.read_sources(corpus.fields(), sources, readers=2)
    assert next(passages) == []
    passages.close()  # type: ignore[attr-defined]  # as Ctrl-C does
