"""`aegis bench` from the outside: what it refuses, and what it shows of a report."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from aegis.cli import bench
from aegis.cli.main import app

LATENCIES = [
    {"name": "eager", "ms_p50": 5.0, "ms_p99": 6.0, "cpu_ms_p50": 4.0, "turns": 9},
    {"name": "onnx-int8", "ms_p50": 1.0, "ms_p99": 2.0, "cpu_ms_p50": 0.5, "turns": 9},
    {"name": "gpt2 bfloat16", "ms_p50": 100.0, "ms_p99": 120.0, "cpu_ms_p50": 60.0, "turns": 9},
]
REPORT = {
    "machine": "A Processor",
    "cores": 2,
    "threads": 1,
    "versions": {"torch": "2.13.0"},
    "decide": {"hrm_ms_p50": 1.0, "gpt2_ms_p50": 100.0, "backend": "onnx-int8", "all": LATENCIES},
    "throughput": {
        "hrm": {"1": 1000.0, "256": 2000.0},
        "gpt2": {"1": 10.0, "256": 11.0},
        "ratio": {"1": 100.0, "256": 181.8},
    },
    "parameters": {"hrm": 29_138_898, "gpt2": 124_439_808, "share": 0.2342},
    "peak_rss_mb": {"hrm": 150.0},
    "accuracy": [{"backend": "eager", "accuracy": 0.83, "differing": 0, "heldout": 220}],
}


def run(*arguments):
    return CliRunner().invoke(app, ["bench", *[str(argument) for argument in arguments]])


def test_the_table_the_json_and_the_plot_come_from_one_report(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "_measure", lambda *arguments: REPORT)
    result = run("--json", tmp_path / "b.json", "--plot", tmp_path / "b.png")
    assert result.exit_code == 0, result.output
    for words in (
        "A Processor, 2 cores, 1 thread(s)",
        "100.0 (120.0) <- auto",
        "181.8",
        "29,138,898, 23.4% of GPT-2's",
        "150 MB",
    ):
        assert words in result.output
    assert json.loads((tmp_path / "b.json").read_text()) == REPORT
    assert (tmp_path / "b.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("--json", "no/b.json", "does not exist"),
        ("--plot", "b.gif", r".png, .svg or .pdf"),
        ("--plot", "no/b.png", "does not exist"),
    ],
)
def test_a_report_that_could_not_be_written_is_refused_before_anything_is_measured(tmp_path, option, name, said):
    result = run(option, tmp_path / name)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_model_that_is_not_there_is_named(tmp_path):
    result = run("--model", tmp_path / "nope", "--no-train")
    assert result.exit_code == 2
    assert "nope" in result.stderr
