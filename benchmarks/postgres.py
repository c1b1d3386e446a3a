"""A PostgreSQL server of one's own from Debian's package, for tests and measurements: on a socket in a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def find_programs() -> Path | None:
    """Return the folder of the newest installed server's programs, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


_END = 'read -r _; "$1/pg_ctl" -D "$2/data" -m immediate -w stop; rm -rf "$2"'
"""Waits until whoever started it writes a line or is no more, killed or not; then ends the server and removes all"""


@contextmanager
def serve(programs: Path, folder: Path, durable: bool) -> Iterator[str]:
    """Run a server while the block runs, with its data below a folder; yield the URL of its database.

    durable: wait for the disk, as servers do; tests need not, because a kill does not lose what the system has.
    """
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    place = Path(tempfile.mkdtemp(prefix="aegis-pg-", dir=folder))
    if user is not None:
        shutil.chown(place, user)
    quiet = subprocess.DEVNULL
    command = ["sh", "-c", _END, "end", str(programs), str(place)]
    end = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, user=user, start_new_session=True
    )

    def run(program: str, *arguments: object) -> None:
        command = [str(programs / program), *map(str, arguments)]
        subprocess.run(command, user=user, cwd=place, check=True, stdout=quiet)

    try:
        data = place / "data"
        run("initdb", "--pgdata", data, "--username=aegis", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        options = f"-k {place} -c listen_addresses= -c max_connections=200 -c fsync={'on' if durable else 'off'}"
        run("pg_ctl", "-D", data, "-l", place / "log", "-o", options, "-w", "start")
        yield f"postgresql://aegis@/postgres?host={place}"
    finally:
        end.communicate(b"\n")
