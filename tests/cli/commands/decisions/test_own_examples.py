"""Plain examples with actions of one's own, given to the commands that read the research agent's decisions."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app


@pytest.fixture
def examples(tmp_path):
    path = tmp_path / "num.jsonl"
    lines = [json.dumps({"score": number, "label": "review"}) for number in range(120)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["train", "check", "audit-data", "compare"])
def test_each_command_says_what_is_wrong_with_a_line_and_how_such_a_file_becomes_a_point(examples, tmp_path, command):
    words = [] if command in ("audit-data", "compare") else ["--workspace", str(tmp_path / "w")]
    result = CliRunner().invoke(app, [command, "--data", str(examples), *words])
    assert result.exit_code != 0
    assert "line 1: state: is missing; action: is missing" in result.output
    assert f"`aegis import {examples} --point NAME`, then `aegis train --point NAME`" in result.output
    assert "aegis collect" not in result.output
    assert not (tmp_path / "w").exists()
