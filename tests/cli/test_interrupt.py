"""Ctrl-C while Python imports: one line and exit code 130, whatever the import would make of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aegis.cli import interrupt

ROOT = Path(__file__).parents[2]
DOORS = {name: [str(ROOT / name)] for name in ("train_hrm.py", "test_hrm_training.py", "start_training.py", "demo.py")}
DOORS |= {
    "aegis": ["-c", "from aegis.cli.door import main; main()", "check"],
    "python -m aegis": ["-m", "aegis", "check"],
    "python -m aegis.cli.main": ["-m", "aegis.cli.main", "check"],
}
TORN = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000): pass
except KeyboardInterrupt:
    raise ImportError("cannot import name 'half' from what is half imported") from None
"""
"""What numpy, for one, makes of a Ctrl-C while it is imported"""


def run(arguments, modules, tmp_path):
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=250
    )


@pytest.mark.parametrize("door", DOORS)
def test_before_a_command_begins_it_ends_with_one_line_and_130(door, tmp_path):
    ended = run(DOORS[door], {"typer": TORN}, tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "\nStopped.\n")


@pytest.mark.parametrize("door", ["train_hrm.py", "test_hrm_training.py", "aegis", "python -m aegis"])
def test_in_an_import_of_a_command_it_ends_with_one_line_and_130(door, tmp_path):
    ended = run(DOORS[door], {"numpy": TORN}, tmp_path)
    assert (ended.returncode, ended.stderr) == (130, "\nStopped.\n")


def test_what_was_begun_is_tidied_up(tmp_path):
    code = (
        "import tempfile\nfrom aegis.cli import interrupt\n"
        "interrupt.end_at_once()\ninterrupt.begin()\n"
        "with tempfile.TemporaryDirectory(dir='.', prefix='begun-') as scratch:\n"
        "    print(scratch)\n    import torn\n"
    )
    ended = run(["-c", code], {"torn": TORN}, tmp_path)
    assert (ended.returncode, ended.stderr) == (130, "\nStopped.\n")
    assert "begun-" in ended.stdout
    assert not list(tmp_path.glob("begun-*"))


def test_outside_of_imports_a_command_handles_it(tmp_path):
    code = (
        "import os, signal, typer\nfrom aegis.cli import interrupt\n"
        "from aegis.cli.display.output import errors_explained\n"
        "interrupt.end_at_once()\n"
        "try:\n    with errors_explained():\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "except typer.Exit as end:\n    print(end.exit_code)\n"
    )
    ended = run(["-c", code], {}, tmp_path)
    assert ended.stdout == "130\n"
    assert ended.stderr == "\nStopped. Everything recorded so far is kept.\n"


def test_a_block_that_goes_on_afterwards_imports_what_it_had_begun_to_import(tmp_path):
    code = (
        "from aegis.cli.interrupt import imports_spared\n"
        "try:\n    with imports_spared():\n        import torn\n        import time; time.sleep(200)\n"
        "except KeyboardInterrupt:\n    print('interrupted', torn.value)\n"
    )
    # The import goes on for a moment after the signal, and is whole in the end.
    slow = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(0.1)\nvalue = 7\n"
    ended = run(["-c", code], {"torn": slow}, tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted 7\n", "")


def test_a_second_one_does_not_wait(tmp_path):
    code = "from aegis.cli.interrupt import imports_spared\nwith imports_spared():\n    import torn\n"
    twice = "import os, signal, time\nfor _ in range(2): os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(200)\n"
    ended = run(["-c", code], {"torn": twice}, tmp_path)
    assert (ended.returncode, ended.stderr) == (130, "\nStopped.\n")


def test_where_ctrl_c_is_ignored_it_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupt.end_at_once()
        interrupt.begin()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
