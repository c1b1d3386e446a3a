from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

import aegis
from aegis.config import HRMConfig
from aegis.errors import CheckpointError
from aegis.hrm import HRM, checkpoint, read_document, read_model, read_tensors, write_folder

CONFIG = HRMConfig(
    vocab_size=300, max_positions=32, high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2
)

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
import torch
from aegis.hrm import checkpoint

calls = 0
def kill_at(function, step):
    def counted(*arguments):
        global calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return counted

for step in range(1, 10):
    child = os.fork()
    if not child:
        for module, name in ((os, "fsync"), (checkpoint, "_exchange"), (checkpoint, "save_file")):
            setattr(module, name, kill_at(getattr(module, name), step))
        folder = Path(sys.argv[1]) / str(step) / "folder"
        checkpoint.write_folder(folder, {"a.safetensors": {"x": torch.full((3,), 2.0)}}, {"b.json": {"number": 2}})
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def write(folder: Path, number: int) -> None:
    tensors = {"a.safetensors": {"x": torch.full((3,), float(number))}}
    write_folder(folder, tensors, {"b.json": {"number": number}})


def read(folder: Path) -> tuple[float, int]:
    return read_tensors(folder / "a.safetensors")["x"][0].item(), read_document(folder / "b.json")["number"]


def test_a_folder_is_written_and_replaced_atomically(tmp_path):
    folder = tmp_path / "deep" / "folder"
    write(folder, 1)
    assert read(folder) == (1.0, 1)
    (folder / "of the old one.txt").write_text("gone with it")
    write(folder, 2)
    assert read(folder) == (2.0, 2)
    assert sorted(path.name for path in folder.iterdir()) == ["a.safetensors", "b.json"]
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1, "whoever may read one file may read both"
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_a_folder_is_replaced_if_the_system_can_not_exchange_names(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_exchange", lambda one, other: False)
    write(tmp_path / "folder", 1)
    write(tmp_path / "folder", 2)
    assert read(tmp_path / "folder") == (2.0, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_the_old_folder_comes_back_if_the_new_folder_can_not_take_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_exchange", lambda one, other: False)
    write(tmp_path / "folder", 1)
    rename = os.rename

    def refuse_partial(source, target):
        if ".partial-" in str(source):
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse_partial)
    with pytest.raises(CheckpointError, match="can't be written"):
        write(tmp_path / "folder", 2)
    assert read(tmp_path / "folder") == (1.0, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("fault", ["tensors", "document"])
def test_the_old_folder_stays_if_the_new_folder_can_not_be_written(tmp_path, fault):
    write(tmp_path / "folder", 1)
    tensors = {"missing/a.safetensors" if fault == "tensors" else "a.safetensors": {"x": torch.zeros(3)}}
    documents = {"missing/b.json" if fault == "document" else "b.json": {"number": 2}}
    with pytest.raises(CheckpointError, match=r"folder: can't be written .*: check the disk's space and permissions"):
        write_folder(tmp_path / "folder", tensors, documents)
    assert read(tmp_path / "folder") == (1.0, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_file_in_the_place_of_the_parent_folder_is_reported(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match="can't be written"):
        write(tmp_path / "file" / "folder", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="names are exchanged in one step on Linux only")
def test_a_kill_at_any_step_leaves_the_old_folder_or_the_new_folder(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(aegis.__file__).parents[1])}
    for step in range(1, 10):
        write(tmp_path / str(step) / "folder", 1)
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path)], env=environment, capture_output=True, text=True
    )
    # A file of weights, three syncs, the exchange; a kill at the last sync leaves the new folder.
    assert done.stdout.split() == ["-9"] * 6 + ["0"] * 3, done.stderr
    left = [read(tmp_path / str(step) / "folder") for step in range(1, 10)]
    assert left == [(1.0, 1)] * 5 + [(2.0, 2)] * 4


def test_a_model_is_read_back_from_its_folder(tmp_path):
    config = replace(CONFIG, high_cycles=3, halt_threshold=0.7)
    model = HRM(config)
    write_folder(tmp_path / "m", {"model.safetensors": model.state_dict()}, {"config.json": asdict(config)})
    drawn = torch.get_rng_state()
    again = read_model(tmp_path / "m")
    assert torch.equal(drawn, torch.get_rng_state())  # start weights, which these replace, are not drawn
    assert again.config == config
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_hugging_face_reads_our_folder_and_we_read_its_folder(tmp_path):
    model = HRM(CONFIG)
    model.save_pretrained(tmp_path / "hf")
    assert torch.equal(read_model(tmp_path / "hf").high_start, model.high_start)
    write_folder(tmp_path / "own", {"model.safetensors": model.state_dict()}, {"config.json": asdict(CONFIG)})
    assert torch.equal(HRM.from_pretrained(str(tmp_path / "own")).high_start, model.high_start)


@pytest.fixture
def saved(tmp_path) -> Path:
    write_folder(tmp_path / "m", {"model.safetensors": HRM(CONFIG).state_dict()}, {"config.json": asdict(CONFIG)})
    return tmp_path / "m"


def damage(path: Path, change: str) -> None:
    if change == "missing":
        path.unlink()
    elif change == "torn":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif change == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(change.encode())


@pytest.mark.parametrize("change", ["missing", "torn", "empty", "not safetensors at all, but some text"])
def test_missing_or_torn_weights_are_an_error_with_a_remedy(saved, change):
    damage(saved / "model.safetensors", change)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: missing or torn .*: train again, or use an older"):
        read_model(saved)


@pytest.mark.parametrize("change", ["missing", "torn", "empty", "[1, 2]", "\udcff"])
def test_a_missing_or_torn_configuration_is_an_error_with_a_remedy(saved, change):
    if change == "\udcff":
        (saved / "config.json").write_bytes(b'{"vocab_size": "\xff\xfe"}')
    else:
        damage(saved / "config.json", change)
    with pytest.raises(CheckpointError, match=r"config\.json: (missing or )?not (JSON|a JSON object).*: train again"):
        read_model(saved)


@pytest.mark.parametrize(
    "fields", [{"vocab_size": "many"}, {"high_width": 15}, {"unknown": 1}, {"low_layers": 0}, {"config": 3}]
)
def test_a_file_that_is_not_an_hrms_configuration_is_an_error(saved, fields):
    (saved / "config.json").write_text(json.dumps({**asdict(CONFIG), **fields}))
    with pytest.raises(CheckpointError, match=r"config\.json: not an HRM's configuration"):
        read_model(saved)


def test_a_configuration_of_an_earlier_version_with_fewer_settings_is_refused(saved):
    fields = asdict(CONFIG)
    del fields["patch_length"]
    (saved / "config.json").write_text(json.dumps(fields))
    with pytest.raises(CheckpointError, match=r"config\.json: lacks patch_length.*: train again"):
        read_model(saved)


def test_weights_that_do_not_fit_their_configuration_are_an_error(saved):
    (saved / "config.json").write_text(json.dumps(asdict(replace(CONFIG, low_width=4))))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: does not fit its config\.json: .*size mismatch"):
        read_model(saved)


def test_a_pickle_in_place_of_the_weights_is_not_opened(saved, tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    torch.save({"x": Trap()}, saved / "model.safetensors")
    with pytest.raises(CheckpointError, match="missing or torn"):
        read_model(saved)
    assert not (tmp_path / "sprung").exists()
