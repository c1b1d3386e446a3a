"""`aegis models`, `promote`, `rollback`, `curve`, `audit-data` and `run --defer-below` from the outside."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.config import GateConfig, HRMConfig
from aegis.config.plan import TrainingPlan
from aegis.hrm import HRM, HRMPolicy, StateCodec, load_policy
from aegis.promotion import ModelRegistry, write_answers
from aegis.research import RESEARCH_ACTIONS
from aegis.research.run import read_shipped_data
from aegis.store import Database, DecisionStore, TrainingLog
from aegis.teachers.name import OFFLINE_NAME
from aegis.types import utc_now
from aegis.workspace import Workspace
from tests.cli.answered import FIGURES, answers, promote_two, save

NAMES = RESEARCH_ACTIONS.names
TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=2)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace in which hrm@2 serves."""
    return promote_two(tmp_path / "w")


def serving(workspace) -> str | None:
    return json.loads(run("models", "--workspace", workspace, "--json").output)["serving"]


def test_models_shows_each_version_its_figures_and_who_promoted_it_and_why(workspace):
    shown = run("models", "--workspace", workspace).output
    # These figures are an earlier version's, whose calibration error was the one without the temperature.
    fitted = f"{answers().errors()[1]:.2%}"
    assert re.search(rf"hrm@1 +- +85.00% \(79.6% to 89.4%\) +{fitted} +1100", shown)
    assert re.search(r"hrm@2 +yes", shown)
    assert "from decisions.jsonl.gz" in shown
    assert "hrm@1 promoted in place of the teacher by gate: accuracy 85.00% is at least the threshold" in shown
    assert "Monitor of hrm@2: no decision audited yet, at least 79.6% promised" in shown
    document = json.loads(run("models", "--workspace", workspace, "--json").output)
    assert [model["name"] for model in document["models"]] == ["hrm@1", "hrm@2"]
    assert document["events"][0]["kind"] == "promoted"
    assert document["monitor"]["audits"] == 0


@pytest.mark.parametrize("command", ["models", "curve", "status"])
def test_a_narrow_terminal_folds_tables_between_words(workspace, monkeypatch, command):
    wide = run(command, "--workspace", workspace).output
    monkeypatch.setattr("aegis.cli.display.output.terminal_columns", lambda: 60)
    narrow = run(command, "--workspace", workspace).output
    table = [line for line in narrow.splitlines() if line.startswith(("  accuracy: ", "    by the HRM: ", "="))]
    assert table
    assert max(map(len, table)) <= 60
    assert max(map(len, wide.splitlines())) > 60


def test_models_curve_and_status_name_the_rule_by_which_the_gate_refused(tmp_path):
    from aegis.promotion import Agreement, judge

    verdict = judge(Agreement(220, 0.6, (0.53, 0.66), 0.5, {}, 0.3, 0.02, 0.3), GateConfig())
    report = {"heldout": {"n": 220, "accuracy": 0.6}, "verdict": verdict.to_record()}
    folder = Workspace(tmp_path / "w")
    with Database(folder.database) as database:
        log = TrainingLog(database)
        refused = log.begin(1100, None, TrainingPlan(), utc_now())
        log.end(refused.id, "refused", "; ".join(verdict.lines), report, utc_now())
    broken = "✗ accuracy 60.00% on 220 held-out decisions is 10.00 points below the threshold of 70.00%"
    shown = run("models", "--workspace", folder.folder).output
    assert f"training 1 on 1,100 decisions, accuracy 60.00%\n    {broken}\n    ✓ " in shown
    (record,) = json.loads(run("models", "--workspace", folder.folder, "--json").output)["refused"]
    assert record["rules"][0] == broken
    assert broken in run("curve", "--workspace", folder.folder).stderr
    assert f"  Verdict: {broken}\n           ✓ " in run("status", "--workspace", folder.folder).output


@pytest.mark.parametrize(
    ("teacher", "advice"),
    [
        ("gemma-3-270m", "`aegis train --workspace {0}` makes one"),  # the shipped decisions are its own
        ("scripted", "needs 100 more decisions of scripted's: `aegis collect --workspace {0} --decisions 100`, then"),
    ],
)
def test_without_an_hrm_the_next_command_that_works_is_named(tmp_path, teacher, advice):
    folder = Workspace(tmp_path / "w")
    with Database(folder.database) as database:
        DecisionStore(database).claim_teacher(teacher, 0, "a test")
    assert advice.format(folder.folder) in run("models", "--workspace", folder.folder).output
    assert advice.format(folder.folder) in run("curve", "--workspace", folder.folder).stderr


def test_the_shipped_decisions_are_the_offline_teachers():
    data = read_shipped_data()
    assert data.teacher.name == OFFLINE_NAME


def test_a_script_that_gives_no_reason_changes_nothing(workspace):
    for command in (["promote", "hrm@1"], ["rollback"], ["rollback", "teacher", "--yes"]):
        refused = run(*command, "--workspace", workspace)
        assert refused.exit_code == 2
        assert "--reason" in refused.stderr
    assert serving(workspace) == "hrm@2"


def test_rolling_back_and_promoting_again_are_recorded_with_their_reasons(workspace):
    assert "✓ hrm@1 serves" in run("rollback", "--workspace", workspace, "--reason", "odd\x1b[31m answers").output
    assert serving(workspace) == "hrm@1"
    again = run("promote", "hrm@2", "--workspace", workspace, "--reason", "it was the data")
    assert "⚠ hrm@2 was rolled back: odd" in again.output
    assert "✓ hrm@2 serves" in again.output
    assert "✓ the teacher serves" in run("rollback", "teacher", "--workspace", workspace, "--reason", "enough").output
    assert serving(workspace) is None
    shown = run("models", "--workspace", workspace).output
    assert "rolled back from hrm@2 to hrm@1 by" in shown
    assert "\x1b" not in shown


def test_models_and_promote_warn_of_a_version_that_was_measured_worse(workspace):
    improvement = {"from": "hrm@2", "gain": -0.067, "gain_interval": [-0.113, -0.021]}
    with Database(Workspace(workspace).database) as database:
        registry = ModelRegistry(DecisionStore(database), Workspace(workspace))
        registry.keep(save, {"improvement": improvement}, "hrm@2")
    figures = "-0.067 (95% interval -0.113 to -0.021)"
    assert f"gain over hrm@2 {figures}: measured worse" in run("models", "--workspace", workspace).output
    promoted = run("promote", "hrm@3", "--workspace", workspace, "--reason", "all the same").output
    assert f"⚠ hrm@3 was measured worse than hrm@2: gain {figures}\n✓ hrm@3 serves" in promoted
    again = run("promote", "hrm@2", "--workspace", workspace, "--reason", "back").output
    assert "⚠" not in again


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["promote", "hrm@9", "--reason", "x"], "no model 'hrm@9' here: there are hrm@1, hrm@2"),
        (["rollback", "hrm@2", "--reason", "x"], "hrm@2 serves now"),
        (["curve", "--model", "hrm@9"], "no model 'hrm@9' here"),
        (["curve", "--plot", "curve.txt"], "ends in .png"),
    ],
)
def test_a_command_that_can_not_be_carried_out_says_so_in_one_line(workspace, command, said):
    refused = run(*command, "--workspace", workspace)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert serving(workspace) == "hrm@2"


def test_rolling_back_while_the_teacher_decides_refuses_the_candidate(workspace):
    run("rollback", "teacher", "--workspace", workspace, "--reason", "enough")
    with Database(Workspace(workspace).database) as database:
        registry = ModelRegistry(DecisionStore(database), Workspace(workspace))
        registry.begin_stage("hrm@2", "shadow", "gate", "it passed", {})
    assert "hrm@2 is refused" in run("rollback", "--workspace", workspace, "--reason", "not this one").output
    assert "hrm@2 refused by" in run("models", "--workspace", workspace).output
    again = run("rollback", "--workspace", workspace, "--reason", "x")
    assert again.exit_code == 2
    assert "there is nothing to roll back" in again.stderr


def test_a_folder_without_a_workspace_is_none(tmp_path):
    for command in (["models"], ["promote", "hrm@1"], ["rollback"], ["curve"]):
        refused = run(*command, "--workspace", tmp_path / "none")
        assert refused.exit_code == 2
        assert "no workspace here" in refused.stderr
    assert not (tmp_path / "none").exists()


def test_the_curve_is_printed_as_a_table_as_json_and_as_a_plot(workspace, tmp_path):
    plot = tmp_path / "curve.png"
    options = ["--teacher-ms", 300, "--teacher-cost", 0.002, "--plot", plot]
    shown = run("curve", "--workspace", workspace, *options)
    assert shown.exit_code == 0, shown.output
    assert "hrm@2 on 200 held-out decisions" in shown.output
    assert re.search(r"0 +100.0% +\d+\.\d\d% \(.*\) +0 \(0.0%\) +3 \(1.0%\)", shown.output)
    assert plot.read_bytes().startswith(b"\x89PNG")
    document = json.loads(run("curve", "--workspace", workspace, *options[:4], "--json").stdout)
    # The fitted error that the other screens show, and the one that the interval is about, are one.
    assert document["calibration_error"] == pytest.approx(document["calibration"]["error"])
    fitted, raw = document["calibration_error"], document["calibration_error_raw"]
    assert f"Calibration error {fitted:.2%} with its temperature" in shown.output
    assert f"{raw:.2%} without)" in shown.output
    points = document["points"]
    assert [point["defer_below"] for point in points] == sorted(point["defer_below"] for point in points)
    assert [point["share"] for point in points] == sorted((point["share"] for point in points), reverse=True)
    assert document["expense"]["hrm_milliseconds"] == 3.0
    assert points[-1]["milliseconds"] == pytest.approx(3 + (1 - points[-1]["share"]) * 300)


def test_audit_data_says_what_rests_on_duplicates(write_decisions, told):
    steps = told("commands.decisions.audit")
    data = write_decisions(120)
    shown = run("audit-data", "--data", data)
    assert shown.exit_code == 0, shown.output
    assert "Training the simple model, judging it" in {what for what, _, _ in steps}
    assert re.search(r"Episodes on both sides +0", shown.output)
    assert re.search(r"Accuracy on all held out +\d+\.\d\d%", shown.output)
    document = json.loads(run("audit-data", "--data", data, "--json").stdout)
    assert document["train"] + document["heldout"] + document["exact"] + document["too_new"] == 120
    both = run("audit-data", "--data", data, "--workspace", "w")
    assert both.exit_code == 2
    assert "give one of them" in both.stderr


@pytest.fixture(scope="session")
def tiny_hrm_once(made_once):
    """Return a workspace in which an HRM serves that learned nothing, exported as `run` would."""

    def save_tiny(name, place):
        HRMPolicy(HRM(TINY), StateCodec(), RESEARCH_ACTIONS).save_as(name, place)
        write_answers(place, answers())

    def make(place):
        folder = Workspace(place)
        with Database(folder.database) as database:
            store = DecisionStore(database)
            store.claim_teacher("scripted", 0, "a rule, no model")
            serving = ModelRegistry(store, folder).promote(save_tiny, FIGURES)
        examples = [(one.state, one.action.name) for one in read_shipped_data().decisions[:20]]
        assert load_policy(serving.folder, examples=lambda: examples).backend.startswith("onnx")

    return made_once("tiny-hrm", make)


@pytest.fixture
def with_tiny_hrm(tiny_hrm_once, tmp_path):
    """Return a workspace of one's own in which an HRM serves that learned nothing."""
    return shutil.copytree(tiny_hrm_once, tmp_path / "tiny")


class NoSearch:
    name = "fake"

    def topics(self):
        return ["sqlite3", "json"]

    def search(self, query, limit):
        return []

    def close(self):
        pass


@pytest.fixture(autouse=True)
def no_search(monkeypatch):
    monkeypatch.setattr("aegis.research.search.create_search", lambda *arguments, **options: NoSearch())


def policies(workspace) -> set[str]:
    with Database(workspace / "aegis.db") as database:
        return {decision.policy for decision in DecisionStore(database).decisions()}


def test_below_the_bound_of_confidence_the_teacher_decides_and_both_are_counted(with_tiny_hrm):
    result = run("run", "--workspace", with_tiny_hrm, "--decisions", 6, "--defer-below", 1.0, "--audit-rate", 0)
    assert result.exit_code == 0, result.output
    assert "hrm@1 decided 0 of 6 (0%), scripted the other 6, where its confidence was below 1" in result.output
    assert policies(with_tiny_hrm) == {"scripted"}


def test_a_run_says_how_often_the_teacher_is_asked_beside_the_hrm(with_tiny_hrm):
    options = ["--decisions", 2, "--audit-rate", 0.0001, "--seed", 1]
    drawn_none = run("run", "--workspace", with_tiny_hrm, *options).output
    assert "scripted is asked about 1 decision in 10000 as well" in drawn_none
    assert "no decision audited: none was drawn" in drawn_none
    silent = run("run", "--workspace", with_tiny_hrm, "--decisions", 2, "--audit-rate", 0).output
    assert "audited" not in silent


def test_above_the_bound_of_confidence_the_hrm_decides(with_tiny_hrm):
    result = run("run", "--workspace", with_tiny_hrm, "--decisions", 6, "--defer-below", 0.0, "--audit-rate", 0)
    assert "hrm@1 decided all 6: none was handed to the teacher" in result.output
    assert policies(with_tiny_hrm) == {"hrm@1"}


@pytest.mark.parametrize("deferring", [[], ["--defer-below", 0.0]])
@pytest.mark.parametrize("backend", ["eager", "onnx"])
def test_the_hrm_is_computed_by_the_backend_that_was_named(with_tiny_hrm, backend, deferring):
    options = ["--decisions", 2, "--audit-rate", 0, "--backend", backend, *deferring]
    result = run("run", "--workspace", with_tiny_hrm, *options)
    assert result.exit_code == 0, result.output
    assert re.search(rf"The agent decides by hrm@1 .* on {backend}\n", result.output)
    assert policies(with_tiny_hrm) == {"hrm@1"}


def test_an_hrm_that_learned_nothing_is_rolled_back_while_it_runs(with_tiny_hrm):
    result = run("run", "--workspace", with_tiny_hrm, "--decisions", 240, "--audit-rate", 1.0, "--seed", 1)
    assert result.exit_code == 0, result.output
    assert "scripted is asked about each decision as well, and loaded for the first one" in result.output
    assert "⚠ rolled back from hrm@1 to the teacher" in result.output
    assert re.search(r"\d+ decisions audited: the teacher agreed in \d+\n", result.output)
    assert policies(with_tiny_hrm) == {"hrm@1", "scripted"}
    assert serving(with_tiny_hrm) is None


def test_the_curves_times_are_measured_where_this_is_asked_for(with_tiny_hrm):
    nothing = run("curve", "--workspace", with_tiny_hrm, "--measure", 3)
    assert nothing.exit_code == 2
    assert "no decisions yet to measure on" in nothing.stderr
    run("run", "--workspace", with_tiny_hrm, "--decisions", 3, "--audit-rate", 0)
    measured = run("curve", "--workspace", with_tiny_hrm, "--measure", 3, "--json")
    assert measured.exit_code == 0, measured.output
    expense = json.loads(measured.stdout)["expense"]
    assert expense["teacher_milliseconds"] >= 0
    assert 0 < expense["hrm_milliseconds"] != 3.0


@pytest.mark.parametrize("arguments", [["--defer-below", "1.5"], ["--audit-rate", "-1"]])
def test_options_that_are_no_share_are_refused_by_name(with_tiny_hrm, arguments):
    result = run("run", "--workspace", with_tiny_hrm, "--decisions", 1, *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.stderr


def test_a_candidate_before_the_switch_is_shown_with_its_stage_and_figures(tmp_path):
    folder = Workspace(tmp_path / "w")
    with Database(folder.database) as database:
        store = DecisionStore(database)
        store.claim_teacher("scripted", 0, "a rule, no model")
        registry = ModelRegistry(store, folder)
        registry.try_out(save, FIGURES | {"labelled": 7}, "shadow", "accuracy 85.00% is at least the threshold")
        shown = run("models", "--workspace", folder.folder).output
        assert re.search(r"hrm@1 +shadow", shown)
        assert "of which 7 labelled by the teacher or a person" in shown
        assert "hrm@1 in shadow: 0 of 0 decisions compared, at least 79.6% promised" in shown
        assert "shadow of hrm@1 begun by gate: accuracy 85.00%" in shown
        status = run("status", "--workspace", folder.folder).output
        assert "Phase 3: Switch (hrm@1 proves itself in shadow)" in status
        assert "Before the switch: hrm@1 in shadow" in status
        document = json.loads(run("models", "--workspace", folder.folder, "--json").output)
        assert (document["candidate"]["stage"], document["serving"]) == ("shadow", None)
        registry.refuse("rollout", "shadow: agreed in 3 of 20", {"agreed": 3})
    shown = run("models", "--workspace", folder.folder).output
    assert re.search(r"hrm@1 +refused", shown)
    assert "hrm@1 refused by rollout: shadow: agreed in 3 of 20" in shown


@pytest.mark.parametrize(
    "option", [["--shadow", "5"], ["--canary", "1.5"], ["--canary-decisions", "3"], ["--drift-quantile", "1"]]
)
def test_stages_that_can_tell_nothing_are_refused_by_name(tmp_path, option):
    refused = run("start", "--workspace", tmp_path / "w", "--teacher", "scripted", "--headless", *option)
    assert refused.exit_code == 2
    assert option[0] in refused.stderr
