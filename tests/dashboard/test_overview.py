"""The terminal, `aegis status --json` and the page have one source."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from aegis.cli.display.block import training_block
from aegis.cli.main import app
from aegis.dashboard.overview import read_overview
from aegis.research.run import read_agent_standing


def test_the_command_prints_the_record_and_the_block_has_its_words(workspace, point):
    record = read_overview(workspace).to_record()
    printed = CliRunner().invoke(app, ["status", "--workspace", str(workspace.folder), "--json"])
    assert json.loads(printed.output) == json.loads(json.dumps(record))
    block = "\n".join(training_block(read_agent_standing(workspace)))
    assert f"Current Phase: {record['phase_words']}\n" in block
    assert f"Next milestone: {record['next_milestone']}\n" in block
    assert record["next_milestone"] == "1,090 examples until training"


def test_each_place_tells_what_its_hrm_could_take_over(workspace, point):
    record = read_overview(workspace).to_record()
    assert record["savings"]["words"] == "no HRM has passed the gate yet: 10 decisions recorded"
    assert [(one["name"], one["savings"]["recorded"]) for one in record["points"]] == [("router", 1)]


def test_a_workspace_of_points_alone_has_no_agent(point, workspace):
    for path in workspace.folder.glob("aegis.db*"):
        path.unlink()
    record = read_overview(workspace).to_record()
    assert set(record) == {"workspace", "points"}
    assert read_overview(point, "router").to_record()["savings"]["recorded"] == 1
