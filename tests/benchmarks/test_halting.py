from __future__ import annotations

import pytest

from benchmarks.halting import draw, summarise


def report(counts: dict[str, int], accuracy: float, to_the_end: float) -> dict:
    thinking = {"counts": counts, "accuracy": accuracy, "accuracy_to_the_end": to_the_end}
    return {"thinking": thinking, "heldout": {"n": sum(counts.values())}}


def test_decisions_of_all_reports_count_alike(tmp_path):
    counts, line = summarise([report({"1": 20, "2": 10}, 0.8, 0.9), report({"1": 10, "2": 0}, 0.4, 0.5)])
    assert counts == {1: 30, 2: 10}
    assert line == "40 held-out decisions, 1.25 segments on average, at most 2: 70.00% right; always 2: 80.00%"
    draw(counts, line, tmp_path / "halting.png")
    assert (tmp_path / "halting.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_without_thinking_is_an_error():
    with pytest.raises(KeyError, match="thinking"):
        summarise([{"heldout": {"n": 3}}])
