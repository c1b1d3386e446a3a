"""The machine that the programs find: a disk that is full or fails, a clock that jumps, cores that others keep busy.

The disk and the clock are those of the crash sweep's layer, which is put below the programs by LD_PRELOAD.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
from pathlib import Path

from benchmarks.crash_sweep.faults import KINDS
from benchmarks.crash_sweep.power import compile_shim

_FAULTS = struct.Struct("=qq")
"""As the struct faults in shim.c: the kind of call that fails, the seconds by which the clock is moved"""
_BUSY = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"


class Machine:
    """A machine whose disk, clock and cores can be disturbed while programs run on it. folder: for its own files."""

    def __init__(self, folder: Path, below: Path) -> None:
        self._below = below
        self._shim = compile_shim(folder)
        path = folder / "faults"
        path.write_bytes(bytes(_FAULTS.size))
        self._path = path
        with path.open("r+b") as file:
            self._faults = mmap.mmap(file.fileno(), _FAULTS.size)
        self._kind = self._clock_seconds = 0
        self._busy: list[subprocess.Popen[bytes]] = []

    @property
    def has_layer(self) -> bool:
        """Whether the disk and the clock can be disturbed; needs Linux and a C compiler."""
        return self._shim is not None

    def environment(self) -> dict[str, str]:
        """Return the variables of a program on this machine. Only files in the folder `below` are on its disk."""
        given = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}
        if self._shim is None:
            return given
        layer = {"LD_PRELOAD": str(self._shim), "AEGIS_SHIM_FOLDER": str(self._below)}
        return given | layer | {"AEGIS_SHIM_FAULTS": str(self._path)}

    def break_disk(self, kind: str) -> None:
        """Let every call of a kind fail from now on. kind: one of the crash sweep's `KINDS`; empty: none."""
        self._kind = KINDS[kind] if kind else 0
        self._write()

    def move_clock(self, seconds: int) -> None:
        """Set by how much the clock is wrong from now on."""
        self._clock_seconds = seconds
        self._write()

    def keep_busy(self, processes: int, seconds: float) -> None:
        """Let processes compute for so long; they end by themselves."""
        command = [sys.executable, "-c", _BUSY, str(seconds)]
        self._busy = [process for process in self._busy if process.poll() is None]
        self._busy += [subprocess.Popen(command, start_new_session=True) for _ in range(processes)]

    def close(self) -> None:
        """End what still computes."""
        for process in self._busy:
            process.kill()
            process.wait()
        self._faults.close()

    def _write(self) -> None:
        _FAULTS.pack_into(self._faults, 0, self._kind, self._clock_seconds)
