"""Is anything lost that AEGIS said is durable? `python -m benchmarks.crash_sweep`, some minutes; needs Linux and gcc.

Power is cut after every write of a workspace at work, and each state that the disk may then be in is opened again; then
every n-th call fails, for each kind of failure. See disk.py for the model of the disk, workload.py for the work.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from benchmarks.crash_sweep.power import Sweep, compile_shim, record_work, run_below, sweep_power

_TELL_EVERY_SECONDS = 30.0


def sweep_work(shim: Path, folder: Path, decisions: int, every: int, *rest: str) -> Sweep:
    """Record a workload, cut the power at every write of it, and print what came of it."""
    folder.mkdir()
    sweep, told = Sweep(), time.monotonic()
    entries = record_work(shim, folder, decisions, *rest)
    for found in sweep_power(entries, folder / "recorded", every=every):
        sweep = found
        if time.monotonic() > told + _TELL_EVERY_SECONDS:
            told = time.monotonic()
            print(f"  ... write {sweep.writes}, {sweep.states} states, {sweep.lost} lost", flush=True)
    print(
        f"power cut: {sweep.writes} writes swept, {sweep.states} states reopened, {sweep.acknowledged} decisions"
        f" acknowledged, {sweep.lost} lost, {len(sweep.faults)} other faults",
        flush=True,
    )
    return sweep


def main() -> None:
    """Read the arguments, sweep, and exit with 1 where anything was lost or wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crash_sweep", description=__doc__)
    parser.add_argument("--decisions", type=int, default=150, help="in each of the workload's two lives")
    parser.add_argument("--every", type=int, default=1, help="cut or fail at each n-th call only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aegis-crash-") as name:
        folder = Path(name)
        shim = compile_shim(folder)
        if shim is None:
            raise SystemExit("needs Linux and gcc: apt-get install gcc")
        sweeps = [
            sweep_work(shim, folder / "store", given.decisions, given.every),
            sweep_work(shim, folder / "training", 2, given.every, "train"),
        ]
        (folder / "faults").mkdir()
        found = json.loads(run_below(shim, "faults", folder / "faults", given.every))
    faults = [fault for sweep in sweeps for fault in sweep.faults]
    for kind, result in found.items():
        print(f"{kind}: {result['runs']} runs, {result['lost']} lost, {len(result['faults'])} other faults")
        print("".join(f"  says: {error}\n" for error in result["errors"]), end="")
        faults += [f"{kind}, {fault}" for fault in result["faults"]]
    for fault in faults[:50]:
        print(fault)
    if faults:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
