"""A server of one's own, for tests and measurements, ends with whoever started it."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.postgres

SERVE = """
import sys, time
from pathlib import Path
from benchmarks.postgres import serve
with serve(Path(sys.argv[2]), Path(sys.argv[1]), durable=False) as url:
    print(url, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_server_ends_with_the_process_that_started_it_however_that_ends(wait_for, postgres_programs, how):
    place = Path(tempfile.mkdtemp())
    place.chmod(0o1777)  # the server is another user's
    command = [sys.executable, "-c", SERVE, str(place), str(postgres_programs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline()
        data = Path(url.strip().partition("host=")[2]) / "data"
        server = int((data / "postmaster.pid").read_text().split()[0])
        assert str(place) in Path(f"/proc/{server}/cmdline").read_text()
        process.send_signal(how)
    wait_for(lambda: not any(place.iterdir()))
    of_the_server = Path(f"/proc/{server}/cmdline")
    assert not of_the_server.exists() or str(place) not in of_the_server.read_text()
    place.rmdir()
