"""`aegis evaluate` prints a table, writes figures and a plot, and names what there is where a policy is not."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from aegis.cli.commands.evaluate import _learning_curves
from aegis.cli.main import app
from aegis.store import Database, ImprovementLog
from aegis.types import utc_now
from aegis.workspace import Workspace


def call(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_policies_are_compared_in_a_table_json_and_a_plot(tmp_path):
    report, plot = tmp_path / "figures.json", tmp_path / "curves.png"
    done = call(
        *("--policies", "idle,rule,random,teacher", "--teacher", "scripted", "--workspace", tmp_path / "w"),
        *("--episodes", 2, "--seeds", 2, "--lived", 20, "--report", report, "--plot", plot),
    )
    assert done.exit_code == 0, done.output
    assert "in 2 worlds of 40 decisions, after 20 made before" in done.output
    for name in ("idle", "rule", "random", "teacher"):
        assert f"  {name} " in done.output
    document = json.loads(report.read_text())
    assert {row["policy"] for row in document["policies"]} == {"idle", "rule", "random", "teacher"}
    idle = next(row for row in document["policies"] if row["policy"] == "idle")
    assert (idle["reward"], idle["decisions"], idle["actions"]["idle"]) == (pytest.approx(-0.1), 80, 1.0)
    assert len(document["results"]) == 16
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_json_is_one_object_and_other_rewards_count(tmp_path):
    rewards = tmp_path / "rewards.json"
    rewards.write_text('{"idle": -3}')
    options = (
        "--policies",
        "idle",
        "--episodes",
        1,
        "--seeds",
        1,
        "--lived",
        0,
        "--workspace",
        tmp_path / "w",
        "--json",
    )
    done = call(*options, "--rewards", rewards)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["rewards"] == {"idle": -3.0}
    assert (document["policies"][0]["reward"], document["policies"][0]["interval"]) == (-3.0, None)
    rewards.write_text('{"idel": -3}')
    done = call(*options, "--rewards", rewards)
    assert done.exit_code == 2
    assert "'idel' is no reward" in done.stderr


def test_a_policy_that_is_not_there_is_refused_and_those_there_are_named(tmp_path):
    done = call("--policies", "hrm@7", "--workspace", tmp_path / "w", "--episodes", 1)
    assert done.exit_code == 2
    assert "choose out of teacher, web_search, ask_human, propose_improvement, idle, random, rule" in done.stderr
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("path", ["x.txt", "none/x.png"])
def test_a_plot_that_could_not_be_written_is_refused_at_once(tmp_path, path):
    assert call("--plot", tmp_path / path, "--workspace", tmp_path / "w").exit_code == 2


def test_the_learning_curves_of_a_workspace_are_means_over_ten_updates(tmp_path):
    folder = Workspace(tmp_path / "w")
    assert _learning_curves(folder) == []
    with Database(folder.database) as database:
        for number in range(12):
            results = {"mean_reward": float(number)}
            ImprovementLog(database).add("hrm@1", None, 0, number, 10 * (number + 1), results, utc_now())
    points = _learning_curves(folder)
    assert [(one.series, one.decisions, one.reward) for one in points] == [
        ("phase 4 of hrm@1", 100, 4.5),
        ("phase 4 of hrm@1", 110, 5.5),
        ("phase 4 of hrm@1", 120, 6.5),
    ]
