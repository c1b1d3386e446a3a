"""A forked child that opens a database which its parent has open, too."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from aegis.lifecycle import open_store
from aegis.workspace import Workspace

_CODE = """
import os, sys, aegis

@aegis.observe("shared", ["a", "b"], workspace=sys.argv[1])
def rule(n):
    return "ab"[n % 2]

observer = rule.observer._observer
rule(0)
assert observer.flush(100)
(heard, tell), (told, say) = os.pipe(), os.pipe()
if os.fork():
    os.read(heard, 1)
    observer.close(100)  # the last connection that SQLite knows of deletes the log
    os.write(say, b"x")
    assert os.wait()[1] == 0
else:
    rule(1)
    assert observer.flush(100)
    os.write(tell, b"x")
    os.read(told, 1)
    rule(2)
    observer.close(100)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_child_records_after_its_parent_has_closed_is_there(tmp_path):
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _CODE, str(tmp_path)]
    subprocess.run(command, check=True, timeout=120)
    with open_store(Workspace(tmp_path).point("shared")) as store:
        assert [decision.state["n"] for decision in store.decisions()] == [0, 1, 2]
