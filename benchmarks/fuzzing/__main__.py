"""Does any reader crash on 10,000 inputs of each kind? `python -m benchmarks.fuzzing --inputs 10000` (`make fuzz`).

With atheris installed (`pip install atheris`) and `--atheris KIND` the inputs are led by the code that they reach.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.fuzzing.target import Target

_SHOWN = 5
_BEGINNINGS = 500
"""Drawn inputs that atheris begins with"""


def main() -> int:
    """Run the targets and print a row for each; return 1 if an input crashed one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="of each kind")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each kind, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the first input; the next has the next number")
    parser.add_argument("--kind", help="one kind alone")
    parser.add_argument("--atheris", metavar="KIND", help="let atheris lead the inputs of this kind")
    options = parser.parse_args()
    if options.atheris:
        return _led(options.atheris, options.seconds)
    from benchmarks.fuzzing.target import targets

    with targets() as known:
        print(f"{'kind':<11} {'inputs':>7} {'seconds':>8} {'slowest':>8} {'crashes':>8}", flush=True)
        chosen = {options.kind: known[options.kind]} if options.kind else known
        return int(sum(_run(name, chosen, options) for name in chosen) > 0)


def _run(name: str, known: Mapping[str, Target], options: argparse.Namespace) -> int:
    began, done, slowest, crashes = time.perf_counter(), 0, 0.0, 0
    for seed in range(options.seed, options.seed + options.inputs):
        at = time.perf_counter()
        if at - began > options.seconds:
            break
        try:
            known[name].read(known[name].draw(Random(seed)))
        except Exception:
            crashes += 1
            if crashes <= _SHOWN:
                print(f"{name}, seed {seed}:", file=sys.stderr)
                traceback.print_exc()
        done, slowest = done + 1, max(slowest, time.perf_counter() - at)
    print(f"{name:<11} {done:>7,} {time.perf_counter() - began:>8.0f} {slowest:>8.2f} {crashes:>8}", flush=True)
    return crashes


def _led(kind: str, seconds: float) -> int:
    """Let atheris begin with drawn inputs, and change them by the code of AEGIS that they reach."""
    import atheris

    with atheris.instrument_imports(include=["aegis"]):
        from benchmarks.fuzzing.target import targets

        with targets() as known, tempfile.TemporaryDirectory(prefix="aegis-corpus-") as corpus:
            for seed in range(_BEGINNINGS):
                (Path(corpus) / str(seed)).write_bytes(known[kind].draw(Random(seed)))
            atheris.Setup([sys.argv[0], f"-max_total_time={seconds:.0f}", corpus], known[kind].read)
            atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
