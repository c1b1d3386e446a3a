"""Threads and batches append what they were told is durable (`python -m benchmarks.store` measures how fast)."""

from __future__ import annotations

import pytest

from benchmarks import store


def test_what_threads_and_batches_append_is_there(tmp_path):
    assert store.measure("threads", tmp_path, lambda place, stack: store.prepare_threads(place, 4, 5, stack)) > 0
    assert store.measure("batches", tmp_path, lambda place, stack: store.prepare_batches(place, 2001, stack)) > 0


def test_a_lost_decision_would_be_found(tmp_path):
    def prepare(place, stack):
        work = store.prepare_batches(place, 10, stack)
        return lambda: [*work(), "never appended"]

    with pytest.raises(AssertionError, match="1 acknowledged decisions are lost"):
        store.measure("batches", tmp_path, prepare)
