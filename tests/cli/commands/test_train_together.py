"""`aegis train` where torchrun started it: the first process is the command, the others help without a word."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from aegis.cli.commands import train
from aegis.cli.main import app
from aegis.training.together import group as together
from aegis.training.together.group import Group


@pytest.fixture
def run(tmp_path, monkeypatch):
    def start(group):
        if group is not None:
            monkeypatch.setenv("WORLD_SIZE", str(group.size))  # as torchrun does
        monkeypatch.setattr(together, "launched", lambda: group)
        return CliRunner().invoke(
            app, ["train", "--epochs", "2", "--device", "cpu", "--workspace", str(tmp_path / "w"), "--resume"]
        )

    return start


def test_a_process_that_is_not_the_first_trains_by_the_same_options_and_says_nothing(run, tmp_path, monkeypatch):
    helped = []
    monkeypatch.setattr("aegis.lifecycle.help_training", lambda *given: helped.append(given))
    done = run(Group(1, 2, 1))
    (data, workspace, plan, device, resume, group) = helped[0]
    assert (done.exit_code, done.output) == (0, "")
    assert (len(data.decisions), workspace.folder, plan.training.epochs) == (1100, tmp_path / "w", 2)
    assert (device, resume, group.rank) == ("cpu", True, 1)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(("group", "code"), [(None, 3), (Group(0, 2), 0)])
def test_a_refusal_is_no_failure_to_torchrun(run, monkeypatch, group, code):
    asked = []

    def refuse(*given):
        asked.append(given[-1])
        return SimpleNamespace(serving=None)

    monkeypatch.setattr(train, "_run", refuse)
    assert run(group).exit_code == code
    assert asked == [group]
