"""Files and folders appear whole or not at all, and a renamed file is durable before and after the renaming."""

from __future__ import annotations

import os

import pytest

from aegis.atomic import make_folder, put_in_place, replacing


@pytest.fixture
def steps(monkeypatch):
    """Note each sync, by the name of the file or folder, and each renaming."""
    taken = []
    fsync, replace = os.fsync, os.replace

    def note_sync(descriptor):
        taken.append(f"sync {os.path.basename(os.readlink(f'/proc/self/fd/{descriptor}'))}")
        fsync(descriptor)

    def note_renaming(partial, path):
        taken.append(f"rename to {path.name}")
        replace(partial, path)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_renaming)
    return taken


def test_a_file_takes_the_place_of_the_older_one(tmp_path):
    path = tmp_path / "report.json"
    for content in ("old", "new"):
        with replacing(path) as partial:
            partial.write_text(content)
            assert partial.parent == tmp_path
        assert path.read_text() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]


def test_an_error_while_a_file_is_written_leaves_the_older_file_and_no_other(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="no form"), replacing(path) as partial:
        partial.write_text("half")
        raise ValueError("no form")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="asks Linux for a descriptor's name")
def test_a_file_is_synced_before_the_renaming_and_its_folder_after_it(tmp_path, steps):
    with replacing(tmp_path / "report.json") as partial:
        partial.write_text("new")
    assert steps == [f"sync {partial.name}", "rename to report.json", f"sync {tmp_path.name}"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="asks Linux for a descriptor's name")
def test_a_folder_is_synced_with_all_its_files_before_the_renaming(tmp_path, steps):
    partial = tmp_path / "partial"
    (partial / "inner").mkdir(parents=True)
    (partial / "weights").write_bytes(b"1")
    (partial / "inner" / "vocabulary").write_bytes(b"2")
    put_in_place(partial, tmp_path / "model")
    renamed = steps.index("rename to model")
    assert set(steps[:renamed]) == {"sync weights", "sync vocabulary", "sync inner", "sync partial"}
    assert steps[renamed - 1] == "sync partial"
    assert steps[renamed + 1 :] == [f"sync {tmp_path.name}"]
    assert (tmp_path / "model" / "inner" / "vocabulary").read_bytes() == b"2"


def test_a_system_that_can_not_sync_folders_renames_all_the_same(tmp_path, monkeypatch):
    def refuse(path, flags):
        raise PermissionError("a folder can't be opened here")

    (tmp_path / "partial").write_text("new")
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(os, "open", refuse)
    put_in_place(tmp_path / "partial", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="asks Linux for a descriptor's name")
def test_each_folder_that_is_made_is_synced_in_the_one_above_it(tmp_path, steps):
    for _ in range(2):
        make_folder(tmp_path / "one" / "two")
    assert steps == [f"sync {tmp_path.name}", "sync one"]
