"""The plots of docs/ are drawn from the figures on their pages, and a page shows each plot."""

from __future__ import annotations

import sys

import pytest

from benchmarks.figures import __main__ as figures
from benchmarks.phase4.table import table


def page(name: str) -> str:
    return (figures.DOCS / name).read_text("utf-8")


def test_the_tables_of_the_pages_are_those_of_the_figures():
    assert "\n".join(figures.curve_table(figures.read("curve"))) in page("trust.md")
    for name in ("phase4.jsonl", "phase4-keep.jsonl"):
        assert "\n".join(table(figures.DATA / name)) in page("reinforcement-measured.md")


def test_every_plot_is_shown_by_a_page():
    pages = "".join(path.read_text("utf-8") for path in (*figures.DOCS.glob("*.md"), figures.DOCS.parent / "README.md"))
    unseen = [path.name for path in figures.DOCS.glob("*.png") if f"({path.name})" not in pages]
    assert unseen == []


def test_the_plots_are_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["figures", "--into", str(tmp_path)])
    figures.main()
    for name in ("curve", "performance"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "| HRM, onnx-int8 (`auto`) |" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["bench", "curve"])
def test_the_figures_are_whole(name):
    document = figures.read(name)
    assert document.get("partial", False) is False
    assert document
