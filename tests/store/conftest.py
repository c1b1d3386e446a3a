"""The store tests' common parts: a workspace's database, decisions to put into it, and processes to run beside it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import aegis.store
from aegis.store import Database, DecisionStore
from aegis.store.engine.address import keep, parse
from aegis.store.engine.connection import Engine
from aegis.types import Action, ActionList, ActionSpec, Decision, new_id

NAMES = ("web_search", "ask_human", "idle")


class Unsynced(sqlite3.Connection):
    """A connection whose transactions don't wait for the disk: only a power cut could tell."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        return super().execute("PRAGMA synchronous = OFF" if sql == "PRAGMA synchronous = FULL" else sql, *parameters)


@pytest.fixture(scope="module", autouse=True)
def real_databases(quick_databases: Callable[..., Engine], request: pytest.FixtureRequest) -> Iterator[None]:
    """Open databases as everybody else does, migrated step by step; on the disk where a module says `SYNCED`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "_open", quick_databases)
        if not getattr(request.module, "SYNCED", False):
            patch.setattr("aegis.store.engine.sqlite.sqlite3.connect", partial(sqlite3.connect, factory=Unsynced))
        yield


@pytest.fixture
def actions() -> ActionList:
    return ActionList(
        (
            ActionSpec("web_search", "search", "look it up", argument="query"),
            ActionSpec("ask_human", "ask", "ask a person", argument="question"),
            ActionSpec("idle", "wait", "do nothing"),
        )
    )


@pytest.fixture
def make_decision() -> Callable[..., Decision]:
    def make(step: int = 0, **fields: Any) -> Decision:
        given: dict[str, Any] = {
            "episode": "e1",
            "step": step,
            "state": {"goal": "what is WAL mode", "open_questions": [step, "zwei", None]},
            "actions": NAMES,
            "action": Action("web_search", {"query": f"WAL mode {step}"}),
            "probabilities": (0.5, 0.25, 0.25),
            "policy": "gpt2",
            "decided_at": datetime(2026, 1, 31, 12, 0, step % 60, 123456, tzinfo=UTC),
        }
        return Decision(**(given | fields))

    return make


@pytest.fixture
def append_old() -> Callable[..., None]:
    """Return a function that inserts decisions as versions before the propensity did."""

    def append(connection: sqlite3.Connection, *decisions: Decision) -> None:
        sql = "INSERT INTO decisions (id, episode, step, state, actions, action, argument, policy, decided_at)"
        for one in decisions:
            texts = (json.dumps(value) for value in (one.state, one.actions))
            row = (one.id, one.episode, one.step, *texts, one.action.name, json.dumps(dict(one.action.argument)))
            connection.execute(f"{sql} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, one.policy, str(one.decided_at)))

    return append


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what opens a database on each engine, but for tests of what SQLite alone does."""
    if "path" in metafunc.fixturenames:
        engines = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
        only = metafunc.definition.get_closest_marker("sqlite") is not None
        metafunc.parametrize("path", engines[:1] if only else engines, indirect=True)


@pytest.fixture
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the path of a new workspace's database, on the engine that the parameter names."""
    path = tmp_path / "workspace" / "aegis.sqlite"
    if request.param == "postgres":
        keep(parse(request.getfixturevalue("postgres_server"), new_id()), path)
    return path


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with Database(path) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> DecisionStore:
    return DecisionStore(database)


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts a Python process on a piece of code; a process left at the test's end is killed."""
    started: list[subprocess.Popen[str]] = []
    package_root = Path(aegis.store.__file__).parents[2]

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(package_root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
