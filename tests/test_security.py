"""What docs/security.md promises is there: no pickle anywhere, and each test that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import aegis

ROOT = Path(__file__).parents[1]
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {("torch", "load"), ("yaml", "load"), ("pandas", "read_pickle")}


def unsafe(source: str) -> list[str]:
    """Return what in a source can run code out of a file: imports and calls."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in UNSAFE]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNSAFE:
            found.append(str(node.module))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            whole = ast.unparse(node.func)
            if any(whole == f"{room}.{name}" for room, name in UNSAFE_CALLS):
                found.append(whole)
            if any(word.arg == "allow_pickle" and ast.unparse(word.value) != "False" for word in node.keywords):
                found.append("allow_pickle")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
            found.append(node.func.id)
    return found


def test_the_package_unpickles_nothing():
    sources = [*Path(aegis.__file__).parent.rglob("*.py"), *ROOT.glob("*.py")]
    assert {str(path): found for path in sources if (found := unsafe(path.read_text("utf-8")))} == {}
    assert len(sources) > 200


def test_what_unpickles_is_found():
    for source in (
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load('x')",
        "np.load('x', allow_pickle=True)",
        "eval('1')",
    ):
        assert unsafe(source), source
    assert unsafe("np.load('x', allow_pickle=False)\nmodel.eval()") == []


def test_each_test_that_the_page_names_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "security.md").read_text("utf-8"))
    assert len(named) > 12
    assert [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text("utf-8")] == []
