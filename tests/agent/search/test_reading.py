"""Sources read by several processes: the same passages in the same order, whatever becomes of the processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis.agent.search import Corpus, reading

from .conftest import add_distribution


@pytest.fixture
def corpus(site_folder: Path) -> Corpus:
    for number in range(9):
        source = f'"""Count the boats of harbour number {number}, and tell the keeper of it in the evening."""\n'
        add_distribution(site_folder, f"boats{number}", "1", "Boats", "", {f"boats{number}.py": source.encode()})
    return Corpus(site_folders=(str(site_folder),), standard_library=None, python_itself=False)


def test_two_processes_read_what_one_reads(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = corpus.sources()
    alone = list(reading.read_sources(corpus.fields(), sources, readers=1))
    assert sum(map(len, alone)) >= 17
    monkeypatch.setattr(reading.Source, "read", None)  # this process must not be the one that reads
    assert list(reading.read_sources(corpus.fields(), sources, readers=2)) == alone


def test_without_processes_it_reads_all_the_same(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = corpus.sources()
    alone = list(reading.read_sources(corpus.fields(), sources, readers=1))
    monkeypatch.setattr(reading, "_READER", "raise SystemExit(1)")
    assert list(reading.read_sources(corpus.fields(), sources, readers=2)) == alone
