"""The command line: the only place that reads arguments and builds objects."""

import os

# Before torch is imported. Threads that spin long while they wait make two trainings on one machine many times as slow;
# threads that never spin make one alone 1.4 times as slow (docs/experiments.md).
_GIVEN = "GOMP_SPINCOUNT" in os.environ
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def spin_longer_when_alone() -> None:
    """Let waiting threads spin longer where no other process computes now; before torch is imported."""
    if not _GIVEN and _running_elsewhere() <= (os.cpu_count() or 1) // 8:
        os.environ["GOMP_SPINCOUNT"] = "10000"


def _running_elsewhere() -> float:
    """Return how many other threads of the machine compute now, the median of some looks; infinite where unknown."""
    import statistics
    import time
    from pathlib import Path

    counts = []
    try:
        for _ in range(5):
            counts.append(int(Path("/proc/loadavg").read_text().split()[3].split("/")[0]) - 1)
            time.sleep(0.01)
    except (OSError, ValueError, IndexError):
        return float("inf")
    return statistics.median(counts)
