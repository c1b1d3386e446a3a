"""The stress of days in hours: `python -m benchmarks.soak [hour|kills|decisions]`.

hour: an agent and a server go the whole way again and again while kills, provider errors, a full disk, clock jumps and
busy cores are planted; a table at the end, and after Ctrl-C. kills: 100 kills of the agent at random moments.
decisions: 50,000 at full pace; memory must stay flat, and a status must stay quick. All use a very small HRM.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.soak.decisions import run_decisions
from benchmarks.soak.hour import Hour
from benchmarks.soak.kills import run_kills
from benchmarks.soak.table import render, wrong


def main() -> None:
    """Read the arguments and run the part they name; exit with 1 where anything is not as it must be."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", default="hour", choices=["hour", "kills", "decisions"])
    parser.add_argument("--minutes", type=float, default=60.0, help="of the hour; default: 60")
    parser.add_argument("--number", type=int, help="kills (100) or decisions (50,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a new folder for the hour's workspaces; default: a temporary one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aegis-soak-") as scratch:
        folder = given.keep or Path(scratch)
        if given.what == "hour":
            folder.mkdir(parents=True, exist_ok=True)
            report = Hour(folder.resolve(), 60 * given.minutes, given.seed, lambda line: print(line, flush=True)).run()
            print(f"\n{render(report)}")
            if wrong(report):
                raise SystemExit(1)
        elif given.what == "kills":
            reports = run_kills(given.number or 100, given.seed, folder)
            stages = sum((report.stages for report in reports), Counter())
            print(f"{sum(report.kills for report in reports)} kills, {dict(stages)}: nothing lost, all runs switched")
        else:
            measured = run_decisions(given.number or 50_000, folder)
            print(json.dumps({name: round(value, 4) for name, value in measured.items()}))
            if measured["growth"] > 0.10 or measured["status_ms"] > 100:
                raise SystemExit("memory grew by more than a tenth, or a status took more than 100 ms")


if __name__ == "__main__":
    main()
