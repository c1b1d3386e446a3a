"""Does `aegis doctor` find what is wrong, and make nothing worse? `python -m benchmarks.doctor`, a minute.

200 copies of a workspace are damaged by chance: flipped bits, files cut off, zeroed or missing, files of two versions
side by side, leftovers of kills. Each is examined, repaired, and compared with what could be read of it before.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from aegis.lifecycle.doctor import Finding, examine
from aegis.promotion import ModelRegistry
from aegis.store import Database, DecisionStore
from aegis.types import Outcome
from aegis.workspace import Workspace
from benchmarks.crash_sweep.workload import make_decision, save_version

DECISIONS = 60
_TENSORS = json.dumps({"w": {"dtype": "U8", "shape": [4000], "data_offsets": [0, 4000]}}).encode()
SAFETENSORS = len(_TENSORS).to_bytes(8, "little") + _TENSORS + bytes(range(250)) * 16


@dataclass
class Examined:
    """What became of a damaged workspace."""

    damage: str
    result: str
    """`repaired`, `named`, `harmless` (nothing that can be read has changed), `earlier` (the newest commits are gone as
    a whole: a sound earlier state, as a copy has it, which nothing in the folder contradicts), `unseen`"""
    worse: list[str] = field(default_factory=list)
    """What could be read before the repair and can't be read after it"""
    findings: list[Finding] = field(default_factory=list)


def make_template(folder: Path) -> None:
    """Make a workspace with decisions, two HRMs and two checkpoints; its newest commits are in the database's log."""
    workspace = Workspace(folder / "open")
    with Database(workspace.database) as database:
        store = DecisionStore(database)
        store.append_many(make_decision(f"d{k}", f"e{k // 20}", k % 20) for k in range(DECISIONS // 2))
        registry = ModelRegistry(store, workspace)
        for _ in range(2):
            registry.promote(save_version)
        for epoch in (1, 2):
            place = workspace.checkpoints / f"epoch-{epoch:03d}"
            place.mkdir(parents=True)
            for name in ("config.json", "training.json"):
                (place / name).write_text('{"epoch": 1}')
            for name in ("model.safetensors", "optimizer.safetensors"):
                (place / name).write_bytes(SAFETENSORS)
        shutil.copytree(workspace.folder, folder / "earlier")
        for k in range(DECISIONS // 2, DECISIONS):
            store.append(make_decision(f"d{k}", f"e{k // 20}", k % 20))
            store.record_outcome(Outcome(f"d{k}", "ok", 1, 0.5))
        shutil.copytree(workspace.folder, folder / "logged")
    (folder / "earlier" / "aegis.db-shm").unlink()  # "logged" keeps the log's index, as a killed process leaves it


def _flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    at = draw.randrange(len(content))
    for place in range(at, min(len(content), at + draw.choice((1, 1, 8, 64)))):
        content[place] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def _truncate(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content))])


def _zero(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    at = draw.randrange(len(content))
    end = min(len(content), at + 4096)
    content[at:end] = bytes(end - at)
    path.write_bytes(content)


def _remove(path: Path, draw: random.Random) -> None:
    path.unlink()


HARMS: dict[str, Callable[[Path, random.Random], None]] = {
    "bits flipped": _flip,
    "cut off": _truncate,
    "zeroed": _zero,
    "missing": _remove,
}


def damage(folder: Path, earlier: Path, draw: random.Random) -> str:
    """Damage a workspace; return what was done."""
    if draw.random() < 0.25:
        return _mix(folder, earlier, draw)
    groups = [["aegis.db"], ["aegis.db-wal"], ["models"], ["checkpoints"]]
    group = draw.choice(groups[:1] * 3 + [one for one in groups[1:] if (folder / one[0]).exists()])
    files = [folder / group[0]] if (folder / group[0]).is_file() else sorted((folder / group[0]).glob("*/*"))
    path, how = draw.choice(files), draw.choice(list(HARMS))
    HARMS[how](path, draw)
    return f"{path.relative_to(folder)}: {how}"


def _mix(folder: Path, earlier: Path, draw: random.Random) -> str:
    """Put parts of two versions, or of two programs, side by side, or leave what a kill leaves."""
    kind = draw.choice(["newer schema", "older number", "another program", "earlier database", "earlier HRM", "kill"])
    database = folder / "aegis.db"
    if kind in ("newer schema", "older number", "another program"):
        if kind == "another program":
            for path in folder.glob("aegis.db*"):
                path.unlink()
        with closing(sqlite3.connect(database)) as connection:
            if kind == "another program":
                connection.execute("CREATE TABLE theirs (x)")
            else:
                connection.execute(f"PRAGMA user_version = {99 if kind == 'newer schema' else draw.randrange(1, 15)}")
    elif kind == "earlier database":
        shutil.copyfile(earlier / "aegis.db", database)
    elif kind == "earlier HRM":
        shutil.copyfile(folder / "models/hrm@1/model.safetensors", folder / "models/hrm@2/model.safetensors")
    else:
        (folder / "models" / f".partial-{draw.randrange(99)}").mkdir()
        (folder / f".report.json.{draw.randrange(99)}.tmp").write_text("half")
        (folder / "models" / "hrm@7").mkdir()
    return f"mixed: {kind}"


def read_all(folder: Path) -> set[object]:
    """Return every row of decisions and outcomes that SQLite can read, and the files; reads a copy."""
    found: set[object] = set()
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("aegis.db"):
            found.add(path.read_bytes())
    with tempfile.TemporaryDirectory() as name:
        for path in folder.glob("aegis.db*"):
            shutil.copyfile(path, Path(name) / path.name)
        if not (Path(name) / "aegis.db").exists():
            return found
        with closing(sqlite3.connect(Path(name) / "aegis.db")) as connection:
            for table in ("decisions", "outcomes", "chain", "tallies", "state", "models", "model_events"):
                found |= _read_rows(connection, table)
    return found


def _read_rows(connection: sqlite3.Connection, table: str) -> set[object]:
    rows: set[object] = set()
    for order in ("", "ORDER BY 1 DESC"):  # from both ends, as far as each goes
        try:
            cursor = connection.execute(f"SELECT * FROM {table} {order}")
            while row := cursor.fetchone():
                rows.add((table, row))
        except (sqlite3.Error, UnicodeDecodeError):
            continue
    return rows


def examine_one(folder: Path, whole: set[object], done: str) -> Examined:
    """Examine and repair a damaged workspace; say what became of it."""
    before = read_all(folder)
    workspace = Workspace(folder)
    found = list(examine(workspace))
    repaired = list(examine(workspace, repair=True))
    after = read_all(folder)
    again = list(examine(workspace))
    # What a repair records anew (sums, what serves) replaces a row; recorded decisions and outcomes must all be there.
    kept = {row for row in before if not isinstance(row, tuple) or row[0] in ("decisions", "outcomes")}
    worse = [str(row)[:120] for row in kept - after]
    worse += [f"still repairable: {one.what}" for one in again if one.kind == "repairable"]
    told = [one for one in (*found, *repaired) if one.kind not in ("sound", "note") or "is damaged" in one.what]
    if any(one.kind == "broken" for one in (*repaired, *again)):
        result = "named"
    elif told:
        result = "repaired"
    else:
        result = "harmless" if whole <= after else "earlier" if _is_earlier(after, whole) else "unseen"
    return Examined(done, result, worse, told)


def _is_earlier(after: set[object], whole: set[object]) -> bool:
    """Tell whether all files are there, and of the chain a beginning."""
    files = {one for one in whole if isinstance(one, bytes)}
    chain = {row for row in after if isinstance(row, tuple) and row[0] == "chain"}
    return files <= after and chain < whole and {row[1][0] for row in chain} == set(range(len(chain)))


def run(count: int, seed: int, folder: Path) -> list[Examined]:
    """Damage this many copies of a workspace, half of them with commits in the log; examine each."""
    make_template(folder)
    wholes = {name: read_all(folder / name) for name in ("open", "logged")}
    results = []
    for number in range(count):
        draw, name = random.Random(f"{seed} {number}"), ("open", "logged")[number % 2]
        place = folder / "damaged"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder / name, place)
        done = damage(place, folder / "earlier", draw)
        results.append(examine_one(place, wholes[name], done))
    return results


def main() -> None:
    """Read the arguments, run, print a table; exit with 1 where a repair made anything worse."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.doctor", description=__doc__)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aegis-doctor-") as name:
        results = run(given.number, given.seed, Path(name))
    table = Counter((one.damage.split(": ")[-1], one.result) for one in results)
    for (what, result), number in sorted(table.items()):
        print(f"{what:>18}  {result:<9} {number:4}")
    totals = Counter(one.result for one in results)
    print(", ".join(f"{number} {result}" for result, number in totals.most_common()), f"of {len(results)}")
    for one in results:
        if one.result == "unseen" or one.worse:
            print(f"{one.result}: {one.damage} {one.worse[:3]}")
    if any(one.worse for one in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
