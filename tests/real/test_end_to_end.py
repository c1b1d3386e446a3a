"""A real language model decides 20 times for a real agent: `make test-real`. Needs the `offline` extra, no network."""

import json

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.promotion import sentence_ridge_accuracy
from aegis.research.run import read_shipped_data
from aegis.store import Database, DecisionStore

pytestmark = [pytest.mark.real, pytest.mark.slow]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    result = run("collect", "--teacher", "gemma3-270m", "--decisions", 20, "--seed", 3, "--workspace", folder)
    assert result.exit_code == 0, result.output
    return folder


def test_twenty_decisions_of_the_offline_model_are_recorded_with_probabilities_and_outcomes(workspace):
    with Database(workspace / "aegis.db") as database:
        examples = list(DecisionStore(database).examples())
        assert DecisionStore(database).teacher().parameters == 268_098_176
    assert len(examples) == 20
    for decision, outcome in examples:
        assert decision.policy == "gemma-3-270m"
        likely = decision.probabilities
        assert likely is not None
        assert sum(likely) == pytest.approx(1)
        assert decision.action.name == decision.actions[likely.index(max(likely))]
        assert outcome is not None
    distributions = {decision.probabilities for decision, _ in examples}
    assert len(distributions) > 10, "the model must see the state"
    assert any(outcome.gained for _, outcome in examples), "some search must bring real knowledge"


def test_twenty_decisions_are_too_few_to_train_on_and_the_command_says_how_to_get_more(workspace, tmp_path):
    exported = tmp_path / "decisions.jsonl"
    assert run("export", exported, "--workspace", workspace).exit_code == 0
    lines = [json.loads(line) for line in exported.read_text().splitlines()]
    assert lines[0]["metadata"]["teacher"]["name"] == "gemma-3-270m"
    assert len(lines) == 21
    short = run("train", "--data", exported, "--workspace", workspace)
    assert short.exit_code == 2
    assert "aegis collect --decisions 80" in short.stderr


def test_sentence_embeddings_of_the_packaged_model_tell_states_apart():
    decisions = read_shipped_data().decisions[:200]
    assert sentence_ridge_accuracy(decisions[:160], decisions[160:]) > 0.5
    assert sentence_ridge_accuracy(decisions, decisions) > sentence_ridge_accuracy(decisions[:20], decisions)
