"""The built wheel in an empty environment: what it takes up there, and a decision by an exported HRM.

It needs the package index: `make test-install` runs it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
MOST_MEGABYTES = 200
NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")
"""What an empty environment holds already, by the starts of the names"""
DECIDE = """
import json, sys
from aegis.hrm import OnnxPolicy
policy = OnnxPolicy.load(sys.argv[1])
print(json.dumps([choice.probabilities for choice in policy.decide(json.load(sys.stdin), policy.actions)]))
"""


def run(*command: str | Path, given: str = "") -> str:
    done = subprocess.run([str(part) for part in command], input=given, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def megabytes(site: Path) -> float:
    """Return what was installed, without what was there before, in MB (10^6 bytes)."""
    tops = [top for top in site.iterdir() if not top.name.startswith(NOT_OURS)]
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def test_the_wheel_brings_types_vocabulary_migrations_and_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"aegis/py.typed", "aegis/hrm/gpt2.tiktoken", "aegis/data/decisions.jsonl.gz"} <= names
    migrations = {f"aegis/store/sql/{file.name}" for file in (ROOT / "aegis" / "store" / "sql").glob("*.sql")}
    assert migrations
    assert migrations <= names


def test_the_small_set_decides_and_is_small(wheel, served, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path)
    python = tmp_path / "bin" / "python"
    began = time.monotonic()
    run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel)
    seconds = time.monotonic() - began
    (site,) = (tmp_path / "lib").glob("python*/site-packages")
    size = megabytes(site)
    print(f"\npip install aegis-hrm: {size:.0f} MB in {seconds:.0f} seconds")
    assert size < MOST_MEGABYTES
    run(python, "-m", "pip", "check")
    brought = {top.name for top in site.iterdir()}
    assert not brought & {"torch", "transformers", "sklearn", "scipy", "onnx"}

    decided = json.loads(run(python, "-c", DECIDE, served.export, given=json.dumps(served.states)))
    for own, eager in zip(decided, served.answers, strict=True):
        assert own == pytest.approx(eager, abs=1e-3)
    status = run(tmp_path / "bin" / "aegis", "status", "--json", "--workspace", served.workspace.folder)
    assert json.loads(status)["serving"] == "hrm@1"
