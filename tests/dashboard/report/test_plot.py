"""The charts of Learning as PNG files."""

from __future__ import annotations

import pytest

from aegis.dashboard.place import Places
from aegis.dashboard.report.plot import write_plots
from aegis.dashboard.report.record import read_record
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry, keep_answers, write_answers


@pytest.fixture
def record(workspace):
    """Return the record of a workspace whose HRM has a matrix, and whose action has dollars in its name."""
    names = ("web_search", "$a_{b}$", "idle " * 20)
    rows, labels = [(0.9, 0.05, 0.05)] * 60 + [(0.5, 0.3, 0.2)] * 40, [0] * 54 + [1] * 6 + [0] * 20 + [1] * 20
    answers = keep_answers(rows, labels, [f"e{row // 4}" for row in range(100)], names)
    with open_store(workspace) as store:
        ModelRegistry(store, workspace).promote(lambda name, folder: write_answers(folder, answers), {"accuracy": 0.7})
    return read_record(Places(workspace))


def test_each_chart_that_has_data_is_a_file(record, tmp_path):
    written = write_plots(record, tmp_path / "new" / "plots")
    kinds = ["agent-calibration", "agent-confusion", "agent-coverage", "agent-rewards", "takeover"]
    assert sorted(one.stem for one in written) == kinds
    assert all(one.read_bytes().startswith(b"\x89PNG") for one in written)


def test_phase_4_and_a_training_are_drawn(record, tmp_path):
    found = record["learning"][""]
    found["updates"] = [
        {"at": "", "model": "hrm@2", "mean_reward": mean, "low": low, "high": mean and mean + 0.1}
        for mean, low in ((0.1, 0.0), (None, None), (0.3, 0.2))
    ]
    epochs = [{"epoch": one, "loss": 1 / one, "heldout_accuracy": 0.7, "train_accuracy": None} for one in (1, 2)]
    training = {
        "number": 1,
        "decisions": 500,
        "gate": {"at": 0.7, "words": "70%: the gate"},
        "accuracy": 0.7,
        "interval": [0.6, 0.8],
        "epochs": epochs,
    }
    found["trainings"] = [training]
    written = {one.stem for one in write_plots(record, tmp_path)}
    assert {"agent-phase4", "agent-training"} <= written
