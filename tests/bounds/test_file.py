"""A crafted file costs little memory before it is refused, whichever reader it is given to."""

from __future__ import annotations

import gzip
import io
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aegis.bounds import LINE_LENGTH, LINE_VALUES, UNPACKED_RATIO, lines_of, whole_of
from aegis.config import HRMConfig
from aegis.door.outcome import read_reports
from aegis.errors import AegisError, DataError
from aegis.formats import read_decisions
from aegis.hrm import read_document
from aegis.store import read_examples
from aegis.types import ActionList, ActionSpec

ACTIONS = ActionList(tuple(ActionSpec(name, name, name) for name in ("wait", "go")))
ZEROS = 100_000_000
MOST_MEMORY = 3 * LINE_LENGTH
"""Bytes: a line, its copy, and what else a reader needs. The file would take over twice as much"""


def use_all(path: Path) -> None:
    list(read_decisions(path).decisions)


READERS: dict[str, Callable[[Path], Any]] = {
    "examples.jsonl.gz": lambda path: read_examples(path, ACTIONS),
    "examples.json.gz": lambda path: read_examples(path, ACTIONS),
    "log.jsonl.gz": use_all,
    "table.csv.gz": use_all,
    "log.jsonl": use_all,
    "reports.jsonl": lambda path: list(read_reports(path)),
    "reports.csv": lambda path: list(read_reports(path)),
    "config.json": read_document,
}


@pytest.fixture(scope="module")
def zeros() -> bytes:
    """Return 100 MB of zeros, packed: 100 kB."""
    return gzip.compress(bytes(ZEROS))


@pytest.mark.parametrize("name", READERS)
def test_a_file_of_zeros_is_refused_in_little_memory(name, tmp_path, zeros):
    path = tmp_path / name
    if path.suffix == ".gz":
        path.write_bytes(zeros)
    else:
        path.touch()
        os.truncate(path, ZEROS)  # a hole: no disk is used
    tracemalloc.start()
    try:
        with pytest.raises(AegisError, match=name) as refusal:
            READERS[name](path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (5 if name == "config.json" else 1) * MOST_MEMORY
    assert "over" in str(refusal.value) or "larger" in str(refusal.value)


def test_a_file_that_unpacks_too_far_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress((b'{"a": "' + b"0" * 10_000 + b'"}\n') * 2000))
    with gzip.open(path) as file, pytest.raises(DataError, match=f"over {UNPACKED_RATIO} times .*gunzip --keep log"):
        list(lines_of(path, file))
    with gzip.open(path) as file, pytest.raises(DataError, match=f"over {UNPACKED_RATIO} times"):
        whole_of(path, file)


def test_lines_of_many_values_are_refused_before_they_are_parsed(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = io.BytesIO(b"1\n" + b"[" + b"[]," * (LINE_VALUES + 1) + b"[]]\n")
    with pytest.raises(DataError, match=r"log.jsonl, line 2: over 1,000,000 values"):
        list(lines_of(path, lines))


def test_lines_that_are_no_records_end_an_import_before_they_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("aegis.store.exchange.MOST_ODD", 1000)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"{}\n" * 1002)
    with pytest.raises(DataError, match=r"line 1001: over 1,000 lines are no records"):
        read_examples(path, ACTIONS)


def test_a_bound_on_all_lines_ends_the_reading():
    with pytest.raises(DataError, match="split the file"):
        list(lines_of(Path("log.jsonl"), io.StringIO("12345\n" * 4), most=20))
    assert len(list(lines_of(Path("log.jsonl"), io.StringIO("12345\n" * 4)))) == 4


@pytest.mark.parametrize(
    "shape", [{"vocab_size": 10**12}, {"high_layers": 10**9}, {"high_width": 8 * 10**6}, {"max_segments": 10**9}]
)
def test_a_checkpoint_that_asks_for_a_giant_model_is_refused_at_once(shape, tmp_path):
    from dataclasses import asdict

    from aegis.errors import CheckpointError
    from aegis.hrm import HRM, read_model, write_folder

    small = HRMConfig(50, 8, 8, 1, 2, 8, 1, 2)
    model = HRM(small)
    write_folder(tmp_path / "m", {"model.safetensors": model.state_dict()}, {"config.json": asdict(small) | shape})
    with pytest.raises(CheckpointError, match=r"too few for this shape|it thinks for"):
        read_model(tmp_path / "m")
