"""The settings of every test: no model hub, and its own cache folder. Nothing here imports torch."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    from aegis.store import Database
    from aegis.store.engine.connection import Engine

# Before any test module is imported: huggingface_hub reads its variables once, at import.
# pytest-xdist's workers inherit the folder of the process that started them; each keeps its cache in a part of it.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if _WORKER is None:
    os.environ["AEGIS_TESTS_FOLDER"] = tempfile.mkdtemp(prefix="aegis-tests-")
_SHARED = Path(os.environ["AEGIS_TESTS_FOLDER"])
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("AEGIS_DATABASE", None)
ON_POSTGRES = os.environ.get("AEGIS_TESTS_ON") == "postgres"
"""Every workspace that a test makes is on a server then; tests of what SQLite alone does are left out"""
os.environ["AEGIS_CACHE"] = str(_SHARED / (_WORKER or "main"))
# Every test process computes on one thread, and so do its children: the other cores run other tests.
for _threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")
# Two torch programs whose threads spin while they wait slow each other down.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # tests run beside their child processes

_SERVER_BYTES = 2 << 30
"""Room for the schemas of all tests marked `postgres`, 4 MB each, in two processes"""

# A busy machine is no fault of the code: the time of a single example is not judged.
# Each run draws other examples.
settings.register_profile("aegis", deadline=None, max_examples=50)
settings.load_profile("aegis")


def _write_to_memory(folder: Path = Path("/dev/shm"), room_bytes: int = 4 << 30) -> None:
    """Let temporary files lie in memory where there is plenty; `TMPDIR`, where it is set, says where instead.

    Tests write some gigabytes that none of them needs on a disk, and remove them. In memory those of the store take a
    sixth less of the processor's time, and do not wait for a disk that others use.
    """
    if "TMPDIR" not in os.environ and folder.is_dir() and shutil.disk_usage(folder).free >= room_bytes:
        os.environ["TMPDIR"], tempfile.tempdir = str(folder), None


def pytest_configure(config: pytest.Config) -> None:
    """Keep bytecode even where PYTHONDONTWRITEBYTECODE is set, but then in pytest's own cache.

    Test processes, and the many that tests start, import torch: it takes two seconds, and five from source.
    """
    gc.disable()  # until all tests are collected
    # What is run by a mark of its own (installs, language models) writes more than memory should hold.
    if _WORKER is None and config.getoption("markexpr").startswith("not "):
        _write_to_memory()
    cache = getattr(config, "cache", None)  # pytest can be told to keep none
    if _WORKER is None and sys.dont_write_bytecode and cache is not None:
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    for item in items:
        if ON_POSTGRES and item.get_closest_marker("sqlite") is not None:
            item.add_marker(pytest.mark.skip(reason="of what SQLite alone does"))


def pytest_collection_finish() -> None:
    """Let the garbage collector leave out what stays: the modules and the tests, a million objects.

    It goes through all that it has not left out again and again: 4% of the tests' time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2000, 20, 100)
    gc.enable()


def make_once(name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make` filled in one of the test processes; the others wait for it.

    For session fixtures that take seconds. Whoever changes a file of the folder copies the folder first.
    """
    folder = _SHARED / "made" / name
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def quick_databases(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Engine]]:
    """Let a new database be a copy of an empty one, and no transaction wait for the disk; yield what really opens one.

    Eleven migrations, each on the disk before the next, are most of a small test's time. Only a power cut could tell.
    `tests/store` opens databases as everybody else does, and so do the processes that tests start.
    """
    from aegis.store import Database
    from aegis.store.engine import address

    empty = tmp_path_factory.mktemp("database") / "empty.db"
    Database(empty).close()
    plainly = Database._open
    server = request.getfixturevalue("postgres_server") if ON_POSTGRES else None

    def really(self: Database, path: str | os.PathLike[str] | None) -> Engine:
        if path is not None and server is not None and not self.path.exists():
            address.keep(address.parse(server, hashlib.sha256(str(self.path).encode()).hexdigest()), self.path)
        return plainly(self, path)

    def open_copy(self: Database, path: str | os.PathLike[str] | None) -> Engine:
        with contextlib.suppress(OSError):  # it is there, or can't be made: opening it says why
            if path is not None and server is None and not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                copy = empty.with_name(f"{threading.get_ident()}.db")
                shutil.copyfile(empty, copy)
                os.link(copy, self.path)
                copy.unlink()
        engine = really(self, path)
        if engine.name == "sqlite":
            engine.connection.execute("PRAGMA synchronous = OFF")
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "_open", open_copy)
        yield really


@pytest.fixture(scope="session")
def postgres_programs() -> Path:
    """Return the folder of PostgreSQL's programs, from Debian's package."""
    from benchmarks.postgres import find_programs

    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    return programs


@pytest.fixture(scope="session")
def postgres_server(postgres_programs: Path) -> Iterator[str]:
    """Start PostgreSQL in a temporary folder; yield the URL, on a socket of that folder."""
    from benchmarks.postgres import serve

    pytest.importorskip("psycopg", reason="psycopg is not installed: make test-postgres")
    memory = Path("/dev/shm")  # its thousands of small files are made and removed there in a tenth of the time
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _SERVER_BYTES
    folder = memory if roomy and not ON_POSTGRES else Path(tempfile.gettempdir())
    with serve(postgres_programs, folder, durable=False) as url:
        yield url


@pytest.fixture(scope="session")
def copy_workspace() -> Callable[[Path, Path], Path]:
    """Return what copies a workspace's folder, and its rows where they are on a server, which a copied file names."""
    from aegis.store import Database
    from aegis.store.moving.copying import copy_rows

    def copy(source: Path, target: Path) -> Path:
        shutil.copytree(source, target, dirs_exist_ok=True)
        for path in source.rglob("aegis.db") if ON_POSTGRES else ():
            copied = target / path.relative_to(source)
            copied.unlink()
            with Database(path) as old, Database(copied) as new, old.transaction(), new.transaction():
                copy_rows(old, new)
        return target

    return copy


@pytest.fixture(scope="session", autouse=True)
def no_syncs() -> Iterator[None]:
    """Let no test process wait until the disk has what is written: only a power cut could tell.

    It is 5% of the tests' time. That files are synced, and in which order, is tested by who calls what.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_certificates() -> Iterator[None]:
    """Let no HTTP client read the list of certificates: it takes 30 ms, and no test asks over TLS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssl.SSLContext.load_verify_locations", lambda *given, **named: None)
        yield


@pytest.fixture(autouse=True)
def no_steward_left() -> Iterator[None]:
    """Fail a test that leaves a steward working: it would call what a later test puts in a method's place."""
    before = set(threading.enumerate())
    yield
    left = [one.name for one in threading.enumerate() if one.name.endswith("-steward") and one not in before]
    assert not left, f"still at work: {left}: close what the test has made"


@pytest.fixture(scope="session")
def made_once() -> Callable[[str, Callable[[Path], object]], Path]:
    return make_once


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Return a function that waits until a condition holds: a busy machine may take minutes over an instant's work."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 240
        while not condition():
            assert time.monotonic() < deadline, "it did not come in time"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def search_index() -> None:
    """Put a small index, of a part of Python's own documentation, where offline search looks for its two indexes.

    The full index takes a minute to build, and that of Python's documentation, for a limited phase 4, three seconds.
    The small one replaces both in this process and in those that tests start.
    """
    from aegis.research.search import PYTHON_CORPUS, Corpus
    from aegis.research.search.documents.index import build_index
    from aegis.research.search.offline import default_index_path

    def make(folder: Path) -> None:
        passages = list(Corpus(site_folders=(), standard_library=None).passages())
        for corpus in corpora:
            build_index(folder / default_index_path(corpus).name, iter(passages), corpus.fingerprint())

    corpora = (Corpus(), PYTHON_CORPUS)
    made = make_once("search", make)
    for path in map(default_index_path, corpora):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made / path.name, path)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _WORKER is None:
        shutil.rmtree(_SHARED, ignore_errors=True)


@pytest.fixture(scope="session")
def documented_ways() -> dict[str, list[str]]:
    """Return the hops that docs/architecture.md lists: a decision's to SQLite, a record's to a gradient."""
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text("utf-8")
    ways: list[list[str]] = []
    for number, hop in re.findall(r"^\| (\d+) `([\w.]+)` \|", page, re.MULTILINE):
        if number == "1":
            ways.append([])
        ways[-1].append(hop)
        assert int(number) == len(ways[-1]), f"the hops before {hop} are not numbered in order"
    return dict(zip(("decision", "gradient"), ways, strict=True))


@pytest.fixture(scope="session")
def run_without_torch() -> Callable[[str], str]:
    """Return what runs code in a process that has neither torch nor scikit-learn, and returns what it prints."""

    def run(code: str) -> str:
        hidden = "import sys; sys.modules.update(torch=None, sklearn=None, scipy=None)\n"
        return subprocess.run([sys.executable, "-c", hidden + code], capture_output=True, text=True, check=True).stdout

    return run
