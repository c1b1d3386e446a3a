from __future__ import annotations

import os
import socket
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch

from aegis.errors import AegisError, ConfigError
from aegis.lifecycle.training.learning import learn
from aegis.training import TrainingHooks
from aegis.training.together.group import Group, connected, launched, own_device
from aegis.workspace import Workspace
from tests.training.together.beside import ACTIONS, HELDOUT, PLAN, Killed, data, train

REPOSITORY = Path(__file__).parents[3]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """Start the second process of the trainings, and yield the ports of the two connections."""
    ports = [free_port(), free_port()]
    place = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": ports[0]}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.together.beside", str(tmp_path / "beside"), *ports],
        cwd=REPOSITORY,
        env=os.environ | {"RANK": "1", "LOCAL_RANK": "1"},
    )
    yield ports
    process.kill()
    process.wait()


def choices(run):
    return [choice.action for choice in run.policy.decide([decision.state for decision in HELDOUT], ACTIONS)]


def largest_difference(run, other):
    pairs = zip(run.policy.model.state_dict().values(), other.policy.model.state_dict().values(), strict=True)
    return max(float((one - two).abs().max()) for one, two in pairs)


def check_same(run, alone):
    assert largest_difference(run, alone) < 1e-5
    assert choices(run) == choices(alone)
    assert [one.heldout_accuracy for one in run.epochs] == [one.heldout_accuracy for one in alone.epochs]
    assert [one.loss for one in run.epochs] == pytest.approx([one.loss for one in alone.epochs], abs=1e-5)


@pytest.mark.long
def test_two_processes_train_as_one_does_and_each_number_resumes_from_the_other(beside, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    alone = train(tmp_path / "alone", Group())
    with pytest.raises(Killed):
        train(tmp_path / "one, then two", Group(), kill_at=3)

    group = launched()
    assert group is not None
    with connected(group, "cpu"):
        together = train(tmp_path / "together", group)
        with pytest.raises(Killed):
            train(tmp_path / "two, then one", group, kill_at=3)
        two_after_one = train(tmp_path / "one, then two", group, resume=True)
        with pytest.raises(ConfigError, match="differ in their train: start all with the same"):
            train(tmp_path / "differing", group)
    one_after_two = train(tmp_path / "two, then one", Group(), resume=True)

    start = type(alone.policy.model)(alone.policy.model.config)
    moved = zip(start.state_dict().values(), alone.policy.model.state_dict().values(), strict=True)
    assert max(float((one - two).abs().max()) for one, two in moved) > 1e-3  # it learned, in steps of this size
    check_same(together, alone)
    assert two_after_one.resumed_after == one_after_two.resumed_after == 2
    check_same(two_after_one, alone)
    check_same(one_after_two, alone)
    assert not (tmp_path / "beside").exists()  # the first process alone writes checkpoints

    monkeypatch.setenv("MASTER_PORT", beside[1])
    learned = learn(data(), Workspace(tmp_path / "w"), PLAN, "cpu", False, TrainingHooks(), group=launched())
    assert [path.name for path in learned.run.checkpoints] == ["epoch-001"]
    assert not (tmp_path / "beside").exists()


def test_a_process_is_told_which_one_ended(monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("Connection closed by peer [127.0.0.1]:29500")

    monkeypatch.setattr(torch.distributed, "all_reduce", fail)
    with pytest.raises(AegisError, match=r"one ended .* --resume after a checkpoint \(Connection closed by peer"):
        Group(0, 2).add(torch.zeros(1))


def test_a_process_that_nobody_launched_trains_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert launched() is None
    monkeypatch.setenv("RANK", "1")  # another launcher's, without an address
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert launched() is None
    monkeypatch.setenv("LOCAL_RANK", "one")
    monkeypatch.setenv("MASTER_ADDR", "here")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(ConfigError, match="must be whole numbers"):
        launched()


def test_the_parts_of_a_batch_follow_each_other_and_cover_it():
    for count in range(1, 20):
        for size in range(1, 6):
            parts = [list(range(count))[Group(rank, size).part(range(count))] for rank in range(size)]
            assert list(chain(*parts)) == list(range(count))


def test_each_process_of_a_machine_has_a_gpu_of_its_own():
    assert own_device(Group(5, 8, 1), "cuda") == "cuda:1"
    assert own_device(Group(5, 8, 1), "cuda:0") == "cuda:0"
    assert own_device(Group(), "cuda") == "cuda"
