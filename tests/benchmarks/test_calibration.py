"""The calibration benchmark measures the answers of several splits together."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from aegis.promotion import keep_answers, write_answers
from benchmarks import calibration
from benchmarks.calibration import main

NAMES = ("look", "ask", "wait")


@pytest.fixture
def workspaces(tmp_path):
    """Return two workspaces whose HRM is much more confident than it is right."""
    rng = np.random.default_rng(0)
    folders = []
    for number in range(2):
        true = rng.dirichlet([0.5, 0.5, 0.5], 120)
        labels = [int(rng.choice(3, p=row)) for row in true]
        sharp = true**4
        sharp /= sharp.sum(1, keepdims=True)
        folder = tmp_path / f"w{number}" / "models" / "hrm@1"
        folder.mkdir(parents=True)
        episodes = [f"e{number}-{place // 10}" for place in range(120)]
        write_answers(folder, keep_answers(sharp.tolist(), labels, episodes, NAMES))
        folders.append(tmp_path / f"w{number}")
    return folders


def test_an_overconfident_hrm_has_a_smaller_error_once_calibrated(workspaces, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["calibration", *map(str, workspaces)])
    main()
    first, before, after, *rest = capsys.readouterr().out.splitlines()
    assert first == "240 held-out decisions of 2 splits"
    errors = [float(line.split("error ")[1].split("%")[0]) for line in (before, after)]
    assert errors[1] < errors[0] / 2
    assert any("surest half" in line for line in rest)


def test_the_intervals_of_simulated_answers_are_counted(monkeypatch, capsys):
    monkeypatch.setattr(calibration, "MANY", 500)
    monkeypatch.setattr(sys, "argv", ["calibration", "--intervals", "1"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert all(line.count(" to ") == 3 and ("0.0%, " in line or "100.0%, " in line) for line in lines)
