"""Does schemathesis find anything wrong with a server, by its OpenAPI document?

    python -m benchmarks.schema --schemathesis /path/to/schemathesis [--examples 50 --seed 1]

schemathesis is a program of its own (`pip install schemathesis`, in another environment). The server is one of this
machine with two points: one that clients decide, one with a teacher that is a rule. Exit code 1: something was found.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from aegis.serving import PointBook
from aegis.serving.point import NewPoint
from benchmarks.gateway import started

CONFIG = """
[points.support-router]
actions = ["refund", "answer"]
teacher = "scripted"
collect = 1000000
[limits]
requests_per_second = 100000
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemathesis", default="schemathesis")
    parser.add_argument("--examples", type=int, default=50, help="of each route and phase")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "serve.toml")
        config.write_text(CONFIG, encoding="utf-8")
        with closing(PointBook(Path(folder), {})) as book:
            book.find("triage", NewPoint(("refund", "answer"), "clients", "requests"))
            made = book.record("triage", {"n": 1}, "refund", offered=None, episode=None)
            book.report("triage", made.id, reward=1.0)
        serve = ("-m", "aegis", "serve", "--workspace", folder, "--port", "0", "--config", str(config))
        with started(*serve) as (url, _):
            command = [given.schemathesis, "run", f"{url}/openapi.json", "--checks", "all"]
            command += ["--max-examples", str(given.examples), "--seed", str(given.seed), "--workers", "1"]
            sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
