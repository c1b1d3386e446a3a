"""On Ray itself: `make test-ray` installs it and runs this."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("ray", reason="needs Ray: make test-ray installs it")

from typer.testing import CliRunner

from aegis.cli.main import app
from benchmarks.ray_collect import SlowServer, serving

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def test_a_log_is_labelled_on_ray_within_a_budget_and_resumed(tmp_path):
    log, out = tmp_path / "log.jsonl", tmp_path / "log.labels.jsonl"
    log.write_text("".join(json.dumps({"text": f"please {n}"}) + "\n" for n in range(60)))
    actions = ["--actions", "search,ask,idle,propose", "--ray", "local", "--parallel", "6"]
    with serving(SlowServer(nonsense_every=10)) as server:
        given = ["label", str(log), "--teacher", f"openai:slow@{server.address}", *actions]
        first = CliRunner().invoke(app, [*given, "--max-tokens", "3000"])
        assert first.exit_code == 3, first.output
        assert "the budget of 3000 tokens is used up" in first.output
        second = CliRunner().invoke(app, given)
    assert second.exit_code == 0, second.output
    rows = [json.loads(line) for line in out.read_text().splitlines()][1:]
    assert [row["row"] for row in rows] == list(range(1, 61))
    assert any("banana" in row.get("error", "") for row in rows)
