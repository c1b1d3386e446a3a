"""A power cut or a failing disk loses nothing acknowledged (`python -m benchmarks.crash_sweep` cuts at every write)."""

from __future__ import annotations

import json

import pytest

from benchmarks.crash_sweep.disk import CREATE, MKDIR, RENAME, SYNC, WRITE, Disk, Entry
from benchmarks.crash_sweep.power import Sweep, compile_shim, record_work, run_below, sweep_power


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    path = compile_shim(tmp_path_factory.mktemp("shim"))
    if path is None:
        pytest.skip("needs Linux and a C compiler")
    return path


@pytest.fixture(scope="module")
def work(shim, tmp_path_factory):
    """The folder of a recorded run with two decisions and a batch in each of its two lives, and its record."""
    folder = tmp_path_factory.mktemp("work") / "work"
    return folder, record_work(shim, folder, 2)


def sweep_all(entries, folder, every):
    sweep = Sweep()
    for found in sweep_power(entries, folder / "recorded", every=every):
        sweep = found
    return sweep


def test_power_lost_at_a_write_loses_nothing_acknowledged(work):
    folder, entries = work
    sweep = sweep_all(entries, folder, every=61)
    assert sweep.faults == []
    assert (sweep.lost, sweep.acknowledged) == (0, 44)
    assert sweep.states > 20


@pytest.mark.slow
@pytest.mark.parametrize(("decisions", "every", "rest"), [(20, 1, ()), (2, 3, ("train",))])
def test_power_lost_at_every_write_loses_nothing_acknowledged(shim, tmp_path, decisions, every, rest):
    sweep = sweep_all(record_work(shim, tmp_path / "work", decisions, *rest), tmp_path / "work", every)
    assert sweep.faults == []
    assert (sweep.lost, sweep.acknowledged) == (0, 2 * (decisions + 20))


def test_the_sweep_finds_a_store_that_does_not_wait_for_the_disk(work):
    folder, entries = work
    unsynced = [entry for entry in entries if entry.kind != SYNC or not entry.path.endswith("-wal")]
    assert sweep_all(unsynced, folder, every=150).lost > 0


@pytest.mark.parametrize("every", [60, pytest.param(1, marks=pytest.mark.slow)])
def test_a_failing_disk_is_named_and_loses_nothing_acknowledged(shim, tmp_path, every):
    folder = tmp_path / "faults"
    folder.mkdir()
    found = json.loads(run_below(shim, "faults", folder, every))
    assert {kind: (result["lost"], result["faults"]) for kind, result in found.items()} == dict.fromkeys(found, (0, []))
    assert any("the disk is full" in error for error in found["disk full"]["errors"])
    assert any("the disk reports an error" in error for error in found["error of a sync"]["errors"])
    assert all(result["errors"] for result in found.values())


def test_a_disk_keeps_what_was_synced_and_may_lose_the_rest(tmp_path):
    disk, folder = Disk(tmp_path), str(tmp_path)
    disk.take(Entry(CREATE, 7, 0, f"{folder}/.new", b""))
    disk.take(Entry(WRITE, 7, 0, f"{folder}/.new", b"whole"))
    disk.take(Entry(RENAME, 0, 0, f"{folder}/.new", f"{folder}/name".encode()))
    assert (disk.lost(), disk.kept()) == ({}, {"name": b"whole"})
    disk.take(Entry(SYNC, 1, 0, folder, b""))
    assert disk.lost() == {"name": b""}
    disk.take(Entry(SYNC, 7, 0, f"{folder}/name", b""))
    assert disk.lost() == disk.kept() == {"name": b"whole"}
    disk.take(Entry(MKDIR, 9, 0, f"{folder}/inner", b""))
    assert disk.lost() == {"name": b"whole"}
