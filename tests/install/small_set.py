"""Run commands of `aegis` as where only the core dependencies of pyproject.toml are installed: all else is hidden.

    python small_set.py FILE    FILE: JSON, [[command, arguments, what is typed], ...]

Prints a JSON object: the modules that were hidden, and of each command [exit code, output, errors].
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import sys
import tempfile
import tomllib
import traceback
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def core_distributions() -> set[str]:
    """Return the names of what `pip install aegis-hrm` brings, by the metadata of what is installed here."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    found, left = {canonicalize_name(project["name"])}, [Requirement(line) for line in project["dependencies"]]
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        left += [Requirement(line) for line in metadata.requires(name) or ()]
    return {str(name) for name in found}


def other_modules() -> set[str]:
    """Return the modules that are installed here, and that no core distribution brings."""
    core = core_distributions()
    brought = metadata.packages_distributions()
    return {module for module, names in brought.items() if not core & {canonicalize_name(name) for name in names}}


class Hiding:
    """A finder that finds all that another one does, except what is hidden."""

    def __init__(self, finder: Any, hidden: set[str]) -> None:
        self._finder = finder
        self._hidden = hidden

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return None if name.partition(".")[0] in self._hidden else self._finder.find_spec(name, path, target)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


def hide(modules: set[str]) -> None:
    """Let no module of these names be found."""
    for name in {loaded for loaded in sys.modules if loaded.partition(".")[0] in modules}:
        del sys.modules[name]
    sys.meta_path[:] = [Hiding(finder, modules) for finder in sys.meta_path]


@cache
def all_commands() -> Any:
    """Return what runs a command, made once: typer makes all two dozen for each. Import what most of them import."""
    import typer.main

    for module in ("cli.prompt.command", "lifecycle.policies.resolver", "teachers.loading", "lifecycle.training.data"):
        importlib.import_module(f"aegis.{module}")
    for module in ("cli.session", "door.decider", "hrm.onnx.policy", "research.run.runner", "dashboard.overview"):
        importlib.import_module(f"aegis.{module}")
    from aegis.cli.main import app

    return typer.main.get_command(app)


def run(arguments: list[str], typed: str | None) -> tuple[int, str, str]:
    """Run one command in a process of its own, forked from this one, so that what most of them import is there.

    typed: what its input holds; None: the input is a terminal.
    """
    command = all_commands()
    with contextlib.ExitStack() as stack:
        given, out, err = (stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(3))
        given.write(typed or "")
        given.seek(0)
        read = given.fileno() if typed is not None else os.openpty()[1]
        process = os.fork()
        if not process:
            for place, descriptor in enumerate((read, out.fileno(), err.fileno())):
                os.dup2(descriptor, place)
            code = 1
            try:
                command(arguments)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        for file in (out, err):
            file.seek(0)
        return code, out.read(), err.read()


if __name__ == "__main__":
    hidden = other_modules()
    hide(hidden)
    commands = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    results = {name: run(arguments, typed) for name, arguments, typed in commands}
    found = sorted(module for module in hidden if importlib.util.find_spec(module) is not None)
    print(json.dumps({"hidden": sorted(hidden), "found": found, "results": results}))
