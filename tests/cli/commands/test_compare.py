"""`aegis compare` from the outside."""

import json

import pytest
from typer.testing import CliRunner

from aegis.cli.commands.compare import _draw
from aegis.cli.main import app
from aegis.experiments.comparison import HRM_NAME, Measurement


@pytest.fixture(autouse=True)
def _without_sentence_embeddings(monkeypatch):
    # Loading their model takes longer than all else here; tests/real has it.
    monkeypatch.setattr("aegis.experiments.comparison.sentence_embeddings_installed", lambda: False)


@pytest.fixture(autouse=True)
def _small(small_hrm):
    """What a comparison says does not depend on the HRM's size."""


def run(*arguments):
    return CliRunner().invoke(app, ["compare", *(str(argument) for argument in arguments)])


def test_the_table_the_json_and_the_plot_hold_the_same_measurements(write_decisions, tmp_path):
    paths = ["--json", tmp_path / "all.json", "--plot", tmp_path / "curve.png"]
    result = run("--data", write_decisions(120), "--splits", 2, "--epochs", 1, "--sizes", "120", *paths)
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "all.json").read_text())
    assert (document["decisions"], document["epochs"], document["splits"]) == (120, 1, 2)
    assert not document["partial"]
    measured = document["measurements"]
    own = [one["accuracy"] for one in measured if one["model"] == "HRM"]
    assert len(own) == 2
    assert (
        "Trained on the training part of 120 decisions, judged by the held-out part of all 120; 2 splits"
        in result.output
    )
    assert f"{sum(own) / 2:.2%}" in result.output
    assert (
        "Left out: MiniLM sentence embeddings, ridge, not installed: pip install 'aegis-hrm[compare]'" in result.output
    )
    assert "The HRM's lead over the best of the others (" in result.output
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_comparison_shows_and_writes_what_it_has(write_decisions, tmp_path, monkeypatch):
    def compare(*arguments, **options):
        for split, model, accuracy in ((0, "ridge", 0.6), (0, HRM_NAME, 0.8), (1, "ridge", 0.5)):
            yield Measurement(120, split, model, accuracy, 24)
        raise KeyboardInterrupt

    monkeypatch.setattr("aegis.experiments.comparison.compare", compare)
    paths = ["--json", tmp_path / "all.json", "--plot", tmp_path / "some.png"]
    result = run("--data", write_decisions(120), "--splits", 2, "--sizes", "120", *paths)
    assert result.exit_code == 130
    assert "80.00% (1 of 2 splits)" in result.output
    assert "over the best of the others (ridge): +20.00 points\n" in result.output
    document = json.loads((tmp_path / "all.json").read_text())
    assert document["partial"]
    assert len(document["measurements"]) == 3
    assert (tmp_path / "some.png").exists()


@pytest.mark.parametrize("splits", [1, 6])
def test_a_model_of_the_same_accuracy_on_every_split_is_drawn(tmp_path, splits):
    measured = [Measurement(100, split, HRM_NAME, 0.1, 50) for split in range(splits)]
    _draw(measured, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_single_split_has_no_interval_and_progress_is_told(write_decisions, told):
    steps = told("commands.compare")
    result = run("--data", write_decisions(120), "--splits", 1, "--epochs", 1, "--sizes", "120")
    assert (
        "Trained on the training part of 120 decisions, judged by the held-out part of all 120; 1 split"
        in result.output
    )
    assert "nan" not in result.output
    assert "interval" not in result.output
    parts = {what for what, _, _ in steps}
    assert {"120 decisions, split 0, simple models", "120 decisions, split 0, HRM"} <= parts


def test_a_workspace_is_compared_on_the_decisions_of_its_teacher(tmp_path):
    collected = ["collect", "--teacher", "scripted", "--decisions", "100", "--workspace", str(tmp_path)]
    assert CliRunner().invoke(app, collected).exit_code == 0
    result = run("--workspace", tmp_path, "--splits", 1, "--epochs", 1, "--sizes", "100")
    assert (
        "Trained on the training part of 100 decisions, judged by the held-out part of all 100; 1 split"
        in result.output
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--plot", "curve.doc"], "--plot curve.doc: give a name that ends in .png"),
        (["--sizes", "many"], "--sizes 'many': give whole numbers"),
        (["--sizes", "5000"], "--sizes 5000: there are 120 decisions"),
        (["--json", "no/such/folder/a.json"], "--json no/such/folder/a.json: the folder"),
        (["--plot", "."], "--plot .: is a folder"),
        (["--epochs", "0"], "--epochs must be at least 1"),
        (["--workspace", "."], "--data and --workspace each name decisions"),
    ],
)
def test_bad_options_are_refused_before_anything_is_trained(arguments, words, write_decisions):
    result = run("--data", write_decisions(120), *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output + result.stderr
