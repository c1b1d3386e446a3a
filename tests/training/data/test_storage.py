from __future__ import annotations

import json

import numpy as np
import pytest

from aegis.errors import DataError
from aegis.hrm import StateCodec
from aegis.training import encode_decisions, load_dataset, open_dataset
from aegis.training.data import dataset as dataset_room
from aegis.training.data.dataset import COLUMNS

CODEC = StateCodec(48)


class Keyed:
    """Decisions with a key, which count how often they are read."""

    def __init__(self, decisions, key="one"):
        self.decisions, self.key, self.readings = decisions, key, 0

    def __len__(self):
        return len(self.decisions)

    def __iter__(self):
        self.readings += 1
        yield from self.decisions


@pytest.fixture
def keyed(make_decision):
    return Keyed([make_decision(number, number % 3) for number in range(30)])


def same(one, other):
    columns = [name for name in COLUMNS if name != "tokens"]
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in [*columns, "tokens", "starts"])
        and one.episode_names == other.episode_names
        and one.fingerprint == other.fingerprint
    )


def test_a_dataset_on_disk_equals_the_dataset_in_memory(keyed, actions, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_room, "CHUNK_DECISIONS", 7)
    mapped = open_dataset(keyed, actions, CODEC, tmp_path)
    assert isinstance(mapped.tokens.base, np.memmap)
    assert same(mapped, encode_decisions(keyed.decisions, actions, CODEC))
    assert len(mapped) == 30


def test_decisions_are_read_and_encoded_once(keyed, actions, tmp_path):
    first = open_dataset(keyed, actions, CODEC, tmp_path)
    again = open_dataset(keyed, actions, CODEC, tmp_path)
    assert keyed.readings == 1
    assert same(first, again)


@pytest.mark.parametrize("change", ["key", "codec"])
def test_other_decisions_or_another_encoding_replace_the_dataset_on_disk(keyed, actions, tmp_path, change):
    open_dataset(keyed, actions, CODEC, tmp_path)
    (before,) = tmp_path.iterdir()
    other = Keyed(keyed.decisions[:20], "two") if change == "key" else keyed
    codec = StateCodec(8) if change == "codec" else CODEC
    data = open_dataset(other, actions, codec, tmp_path)
    assert same(data, encode_decisions(other.decisions, actions, codec))
    (after,) = tmp_path.iterdir()
    assert after != before


@pytest.mark.parametrize("damage", ["shorter", "missing", "no document", "torn document"])
def test_a_damaged_dataset_is_written_again(keyed, actions, tmp_path, damage):
    whole = encode_decisions(keyed.decisions, actions, CODEC)
    open_dataset(keyed, actions, CODEC, tmp_path)
    (folder,) = tmp_path.iterdir()
    if damage == "shorter":
        (folder / "tokens").write_bytes((folder / "tokens").read_bytes()[:-2])
    elif damage == "missing":
        (folder / "labels").unlink()
    elif damage == "no document":
        (folder / "dataset.json").unlink()
    else:
        (folder / "dataset.json").write_text((folder / "dataset.json").read_text()[:-9])
    assert same(open_dataset(keyed, actions, CODEC, tmp_path), whole)
    assert keyed.readings == 2


def test_a_failed_write_leaves_no_files(keyed, actions, tmp_path):
    class Broken(Keyed):
        def __iter__(self):
            yield from self.decisions[:20]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_dataset(Broken(keyed.decisions), actions, CODEC, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_written_is_an_error_with_its_path(keyed, actions, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"can't be written .* check the disk's space and permissions"):
        open_dataset(keyed, actions, CODEC, tmp_path / "file")


def test_decisions_in_memory_are_encoded_in_memory(keyed, actions, tmp_path):
    assert same(
        load_dataset(keyed.decisions, actions, CODEC, tmp_path), encode_decisions(keyed.decisions, actions, CODEC)
    )
    assert list(tmp_path.iterdir()) == []
    load_dataset(keyed, actions, CODEC, tmp_path)
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "dataset.json").read_text())["decisions"] == 30


def test_the_report_on_cuts_is_known_without_reading_the_decisions_again(keyed, actions, tmp_path):
    codec = StateCodec(4, exclude=("nothing",))
    first = open_dataset(keyed, actions, codec, tmp_path).reading
    assert (first.states, first.cut, first.left_out) == (30, 30, {"nothing": 0})
    assert open_dataset(keyed, actions, codec, tmp_path).reading == first
    assert keyed.readings == 1


@pytest.mark.parametrize("codec", [StateCodec(48, ("note",)), StateCodec(48, (), {"note": "remark"})])
def test_another_field_to_leave_out_or_rename_makes_another_dataset(keyed, actions, tmp_path, codec):
    open_dataset(keyed, actions, CODEC, tmp_path)
    open_dataset(keyed, actions, codec, tmp_path)
    assert keyed.readings == 2
