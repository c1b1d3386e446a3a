"""What archiving takes and saves: `python -m benchmarks.archive [--decisions 100000] [--characters 250]`.

Makes a workspace on SQLite with decisions and outcomes, reads them as a training does, archives all but the newest one,
and reads them again. Times are of this process on the processor, and by the clock.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aegis.store import Database, DecisionStore, RecordedDecisions
from aegis.store.archive.choice import choose
from aegis.store.archive.shrinking import measure, shrink
from aegis.store.archive.writing import archive_until
from aegis.store.chain.check import verify
from aegis.types import Action, Decision, Outcome

_WORDS = "refund order customer late parcel invoice broken phone battery screen asks again angry thanks number address"
_NAMES = ("refund", "ask", "escalate", "close")
_BATCH = 1000
_EPISODE = 5
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def make_decision(number: int, characters: int, draw: random.Random) -> Decision:
    """Return a decision about a text of words; five follow each other in an episode."""
    text = " ".join(draw.choices(_WORDS.split(), k=characters))[:characters]
    weights = [draw.random() for _ in _NAMES]
    shares = tuple(weight / sum(weights) for weight in weights)
    return Decision(
        episode=f"conversation-{number // _EPISODE}",
        step=number % _EPISODE,
        state={"message": text, "turn": number % _EPISODE},
        actions=_NAMES,
        action=Action(_NAMES[shares.index(max(shares))]),
        probabilities=shares,
        policy="teacher",
        decided_at=_BEGAN + timedelta(seconds=number),
    )


def fill(store: DecisionStore, decisions: int, characters: int) -> None:
    """Record decisions, each with an outcome."""
    draw = random.Random(1)
    for start in range(0, decisions, _BATCH):
        made = [make_decision(start + one, characters, draw) for one in range(min(_BATCH, decisions - start))]
        with store.database.transaction():
            for decision in made:
                store.append(decision)
                store.record_outcome(Outcome(decision.id, "ok", reward=draw.random(), result={"note": "done"}))


def timed(what: str, work: Callable[[], object]) -> None:
    """Do something and print what it took."""
    wall, own = time.perf_counter(), time.process_time()
    work()
    print(
        f"{what}: {time.process_time() - own:.1f} s of the processor, {time.perf_counter() - wall:.1f} s by the clock"
    )


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--characters", type=int, default=250, help="of each state")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "aegis.db"
        with Database(path) as database:
            fill(DecisionStore(database), given.decisions, given.characters)
            for archived in (False, True):
                if archived:
                    until = choose(database, keep=1).until
                    timed("archived", lambda: list(archive_until(database, until)))  # noqa: B023
                    timed("made smaller", lambda: shrink(database))
                    files = sum(one.stat().st_size for one in path.with_name("archive").iterdir())
                    print(f"files: {files / 1e6:.1f} MB")
                print(f"database: {measure(database) / 1e6:.1f} MB")
                timed("read for a training", lambda: sum(1 for _ in RecordedDecisions(path, "teacher")))
                timed("verified", lambda: print(verify(database).fault or "whole"))


if __name__ == "__main__":
    main()
