"""A few inputs of each kind in each run, drawn by hypothesis; `make fuzz` draws many."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzzing.target import targets

KINDS = ("data", "config", "http", "answer", "checkpoint")


@pytest.fixture(scope="module")
def known():
    with targets() as known:
        yield known


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_input_crashes_a_reader(known, kind, seed):
    known[kind].read(known[kind].draw(Random(seed)))


def test_a_reader_that_crashes_would_be_found(known, monkeypatch):
    def crash(*given):
        raise KeyError("form")

    for name in ("read_decisions", "read_model_config", "read_config", "read_answer"):
        monkeypatch.setattr(f"benchmarks.fuzzing.target.{name}", crash)
    monkeypatch.setattr("benchmarks.fuzzing.target.TrainingPlan.from_json", crash)
    for kind in ("data", "config", "answer"):
        with pytest.raises(KeyError):
            for seed in range(20):
                known[kind].read(known[kind].draw(Random(seed)))


def test_every_kind_is_fuzzed(known):
    assert tuple(known) == KINDS
