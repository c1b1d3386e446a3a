"""Many decisions at full pace in one process: does its memory stay flat, and a status quick?"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from aegis.lifecycle import read_standing
from aegis.workspace import Workspace


def run_decisions(count: int, folder: Path) -> dict[str, float]:
    """Make many decisions in one process; return memory early and late, in MB, and the slowest status, in seconds."""
    options = ["--teacher", "scripted", "--interval", "0", "--headless", "--max-decisions", str(count)]
    options += ["--collect", str(10 * count), "--vary-presence", "--seed", "0", "--device", "cpu"]
    command = [sys.executable, "-m", "aegis.cli.main", "start", "--workspace", str(folder / "workspace"), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    memory: list[tuple[int, float]] = []
    statuses: list[float] = []
    workspace = Workspace(folder / "workspace")
    while process.poll() is None:
        time.sleep(1.0)
        if workspace.database.exists() and process.poll() is None:
            started = time.perf_counter()
            made = read_standing(workspace).decisions
            statuses.append(time.perf_counter() - started)
            memory.append((made, memory_mb(process.pid)))
    early = [size for made, size in memory if 0.05 * count <= made <= 0.15 * count and size]
    late = [size for made, size in memory if made >= 0.9 * count and size]
    started = time.perf_counter()
    standing = read_standing(workspace)
    last = time.perf_counter() - started
    return {
        "decisions": standing.decisions,
        "early_mb": statistics.median(early),
        "late_mb": statistics.median(late),
        "growth": statistics.median(late) / statistics.median(early) - 1,
        "status_ms": 1000 * last,
        "slowest_status_ms": 1000 * max(statuses),
    }


def memory_mb(process: int) -> float:
    """Return the memory that the process has allocated, without mapped files; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon:"))
