"""The decisions and outcomes of a workspace, appended and read back, and the teacher that the workspace belongs to.

Nothing here changes or removes a recorded decision; the database itself refuses it. An action that was renamed later is
read under its present name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from aegis.errors import DataError, StoreError, TeacherMismatchError
from aegis.rendering import load_state
from aegis.store.archive.reading import fill_examples
from aegis.store.chain.columns import DECISION, OUTCOME, decision_row, outcome_row, to_text
from aegis.store.database import Database
from aegis.store.engine.connection import Row
from aegis.store.state import StateKey, WorkspaceState
from aegis.types import Action, Decision, Outcome

_PAGE_ROWS = 500

_INSERT_DECISION = f"INSERT INTO decisions ({', '.join(DECISION)}) VALUES ({', '.join('?' * len(DECISION))})"
_INSERT_OUTCOME = f"INSERT INTO outcomes ({', '.join(OUTCOME)}) VALUES ({', '.join('?' * len(OUTCOME))})"
_SELECT_EXAMPLES = """
SELECT d.*, o.seq AS outcome_seq, o.status, o.gained, o.reward, o.detail, o.result, o.recorded_at, o.components
FROM decisions AS d
LEFT JOIN outcomes AS o ON o.seq = (SELECT MAX(seq) FROM outcomes WHERE decision_id = d.id)
"""
_MEAN_GAINED = """
SELECT AVG(o.gained)
FROM decisions AS d
JOIN outcomes AS o ON o.seq = (SELECT MAX(seq) FROM outcomes WHERE decision_id = d.id)
WHERE o.status <> 'unknown' AND (d.policy = ?1 OR ?1 IS NULL)
"""


class Example(NamedTuple):
    """A decision with its current outcome; None while no outcome is recorded."""

    decision: Decision
    outcome: Outcome | None


class NumberedExample(NamedTuple):
    """An example with the numbers of its rows, `seq`, and the names by which its actions were recorded."""

    example: Example
    row: int
    outcome_row: int | None
    recorded: tuple[str, ...]


class Draft(NamedTuple):
    """A decision that becomes the next step of its episode, whichever that is when it is recorded."""

    episode: str
    make: Callable[[int], Decision]
    """Returns the decision, given its step"""
    begins: bool = False
    """Whether nobody else knows the episode, so that no step of it can be recorded yet"""


@dataclass(frozen=True, slots=True)
class TeacherClaim:
    """The teacher that a workspace belongs to."""

    name: str
    """Its name in decisions, e.g. `gpt2`."""
    parameters: int
    """Number of parameters; 0 if unknown."""
    source: str
    """Where it was loaded from: a hub id, a folder, a file or a package."""


class DecisionStore:
    """The decisions and outcomes in a workspace's database. A decision's newest outcome is its current one."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.state = WorkspaceState(database)

    def append(self, decision: Decision) -> None:
        """Append a decision; it is on the disk when this returns (or, within a transaction, when the transaction ends).

        A time without a zone is taken as UTC. Raises `StoreError` if its id, or its step of the episode, is already
        recorded, and `DataError` if it can't be written as JSON.
        """
        self.append_many([decision])

    def append_many(self, decisions: Iterable[Decision]) -> int:
        """Append decisions in one transaction, all or none, and return their number; raises as `append` does."""
        rows = [decision_row(decision) for decision in decisions]
        try:
            with self.database.transaction():
                self.database.engine.append(_INSERT_DECISION, rows)
        except StoreError as error:
            if not self.database.is_refusal(error):
                raise
            raise self._refused(rows, error) from error
        return len(rows)

    def append_next(self, drafts: Sequence[Draft]) -> list[Decision]:
        """Append decisions in one transaction, each as the next step of its episode, all or none; return them."""
        with self.database.transaction():  # no other process may take a step in between
            last = self._last_steps({draft.episode for draft in drafts if not draft.begins})
            made = []
            for episode, make, _ in drafts:
                last[episode] = last.get(episode, -1) + 1
                made.append(make(last[episode]))
            self.append_many(made)
        return made

    def record_outcome(self, outcome: Outcome) -> None:
        """Append an outcome, which becomes its decision's current one; on the disk when this returns.

        Raises `StoreError` if the decision is not recorded, and `DataError` if the outcome can't be written as JSON.
        """
        row = outcome_row(outcome)
        with self.database.transaction() as connection:
            if not connection.execute("SELECT 1 FROM decisions WHERE id = ?", (outcome.decision_id,)).fetchall():
                raise StoreError(
                    f"{self.database.path}: no decision {outcome.decision_id!r} to record an outcome of:"
                    " append the decision first"
                )
            connection.execute(_INSERT_OUTCOME, row)

    def record_cost(self, decision_id: str, dollars: float) -> None:
        """Record what a recorded decision cost; raises `StoreError` for one that is not there or has a cost already."""
        with self.database.transaction() as connection:
            connection.execute("INSERT INTO costs (decision_id, dollars) VALUES (?, ?)", (decision_id, float(dollars)))

    def mean_cost(self, policy: str) -> float | None:
        """Return the mean cost of this policy's decisions, in dollars; None where none is recorded."""
        rows = self.database.query("SELECT dollars / decisions AS mean FROM cost_tallies WHERE policy = ?", (policy,))
        return float(rows[0]["mean"]) if rows else None

    def get(self, decision_id: str) -> Example | None:
        """Return a decision with its current outcome, or None if it is not recorded."""
        rows = self.database.query(f"{_SELECT_EXAMPLES} WHERE d.id = ?", (decision_id,))
        return _example(self._whole(rows)[0], self.state.new_names()) if rows else None

    def id_at(self, episode: str, step: int) -> str | None:
        """Return the id of the decision at this step of the episode, or None."""
        rows = self.database.query("SELECT id FROM decisions WHERE episode = ? AND step = ?", (episode, step))
        return str(rows[0]["id"]) if rows else None

    def last_step(self, episode: str) -> int | None:
        """Return the episode's highest recorded step, or None if it has none."""
        step = self.database.query("SELECT MAX(step) AS step FROM decisions WHERE episode = ?", (episode,))[0]["step"]
        return None if step is None else int(step)

    def _last_steps(self, episodes: Collection[str]) -> dict[str, int]:
        """Return the highest recorded step of each of these episodes that has one."""
        if len(episodes) <= 1:
            steps = {episode: self.last_step(episode) for episode in episodes}
            return {episode: step for episode, step in steps.items() if step is not None}
        for episode in episodes:
            to_text(episode, f"episode {episode!r}")
            if "\0" in episode and not self.database.on_sqlite:
                raise DataError(f"episode {episode!r}: PostgreSQL can't store the character 0: remove it")
        sql = (
            "SELECT e.value AS episode, (SELECT MAX(step) FROM decisions WHERE episode = e.value) AS step"
            " FROM json_each(CAST(? AS TEXT)) AS e"
        )
        rows = self.database.query(sql, (json.dumps(list(episodes)),))
        return {row["episode"]: int(row["step"]) for row in rows if row["step"] is not None}

    def newest(self) -> int:
        """Return the newest decision's place in the order of recording, or 0 if there is none."""
        return int(self.database.query("SELECT COALESCE(MAX(seq), 0) AS seq FROM decisions")[0]["seq"])

    def recent(self, count: int, policy: str | None = None) -> list[Example]:
        """Return the newest decisions (of this policy, or of all) with their current outcomes, the newest first."""
        sql = f"{_SELECT_EXAMPLES} WHERE d.policy || '' = ?1 OR ?1 IS NULL ORDER BY d.seq DESC LIMIT ?2"
        renamed = self.state.new_names()
        return [_example(row, renamed) for row in self._whole(self.database.query(sql, (policy, count)))]

    def decisions(self, policies: Collection[str] | None = None, until: int | None = None) -> Iterator[Decision]:
        """Yield the decisions (of these policies, or of all) in the order of recording; see `examples`."""
        return (example.decision for example in self.examples(policies, until))

    def examples(self, policies: Collection[str] | None = None, until: int | None = None) -> Iterator[Example]:
        """Yield each decision (of these policies, or of all) with its current outcome, in the order of recording.

        As `numbered_examples` does.
        """
        return (numbered.example for numbered in self.numbered_examples(policies, until))

    def numbered_examples(
        self, policies: Collection[str] | None = None, until: int | None = None
    ) -> Iterator[NumberedExample]:
        """Yield each decision (of these policies, or of all) with its current outcome, in the order of recording.

        Reads page by page. Ends with the decision that was newest at the first read, or at the place `until` (see
        `newest`). The database may be written between two decisions.
        """
        # By pages, not by an open cursor: a half-read query would keep this connection from writing.
        last = self.newest() if until is None else until
        names = [] if policies is None else sorted(set(policies))
        # A text that is made keeps the engine on the order of seq: by the policy's index it would sort all rows.
        chosen = "" if policies is None else f"AND d.policy || '' IN ({', '.join('?' * len(names)) or 'NULL'})"
        page = f"{_SELECT_EXAMPLES} WHERE d.seq > ? AND d.seq <= ? {chosen} ORDER BY d.seq LIMIT {_PAGE_ROWS}"
        seq, renamed = 0, self.state.new_names()
        while rows := self.database.query(page, (seq, last, *names)):
            yield from (_numbered(row, renamed) for row in self._whole(rows))
            seq = rows[-1]["seq"]

    def episodes_beside(self, policy: str) -> frozenset[str]:
        """Return the episodes in which both this policy and another policy made decisions."""
        sql = (
            "SELECT episode FROM decisions GROUP BY episode"
            " HAVING COUNT(*) FILTER (WHERE policy = ?1) > 0 AND COUNT(*) FILTER (WHERE policy <> ?1) > 0"
        )
        return frozenset(row["episode"] for row in self.database.query(sql, (policy,)))

    def episodes_between(self, policy: str) -> frozenset[str]:
        """Return the episodes that this policy began after the first and before the last decision of another one."""
        sql = (
            "WITH others AS (SELECT MIN(seq) AS first, MAX(seq) AS last FROM decisions WHERE policy <> ?1)"
            " SELECT episode FROM decisions, others WHERE policy = ?1 GROUP BY episode, first, last"
            " HAVING MIN(seq) > first AND MIN(seq) < last"
        )
        return frozenset(row["episode"] for row in self.database.query(sql, (policy,)))

    def count(self, policy: str | None = None, until: int | None = None) -> int:
        """Return the number of decisions, of this policy or of all, up to the place `until` (see `newest`)."""
        sql = "SELECT COUNT(*) AS n FROM decisions WHERE (policy = ?1 OR ?1 IS NULL) AND (seq <= ?2 OR ?2 IS NULL)"
        return int(self.database.query(sql, (policy, until))[0]["n"])

    def rewards_after(self, place: int) -> dict[str, list[float]]:
        """Return the known rewards of the decisions after a place in the order of recording (`newest`), by policy."""
        sql = (
            "SELECT d.policy, o.reward FROM decisions AS d"
            " JOIN outcomes AS o ON o.seq = (SELECT MAX(seq) FROM outcomes WHERE decision_id = d.id)"
            " WHERE d.seq > ? AND o.reward IS NOT NULL ORDER BY d.seq"
        )
        found: dict[str, list[float]] = {}
        for row in self.database.query(sql, (place,)):
            found.setdefault(row["policy"], []).append(float(row["reward"]))
        return found

    def action_counts(self, policy: str | None = None) -> dict[str, int]:
        """Return how often each action was chosen, by this policy or by all, the commonest first."""
        sql = (
            "SELECT action, COUNT(*) AS n FROM decisions WHERE policy = ?1 OR ?1 IS NULL"
            " GROUP BY action ORDER BY n DESC, action"
        )
        renamed, found = self.state.new_names(), Counter[str]()
        for row in self.database.query(sql, (policy,)):
            found[renamed.get(row["action"], row["action"])] += row["n"]
        return dict(found.most_common())

    def mean_gained(self, policy: str | None = None) -> float | None:
        """Return the mean number of new knowledge items per decision, of this policy or of all.

        Decisions without a known outcome don't count; None if there are no others.
        """
        mean = self.database.query(_MEAN_GAINED, (policy,))[0][0]
        return None if mean is None else float(mean)

    def claim_teacher(self, name: str, parameters: int, source: str) -> TeacherClaim:
        """Claim the workspace for this teacher, or check the claim; returns the claim as first recorded.

        Raises `TeacherMismatchError` if it belongs to a teacher of another name.
        """
        with self.database.transaction():
            claim = self.teacher()
            if claim is None:
                claim = TeacherClaim(name, parameters, source)
                self.state.keep(StateKey.TEACHER, asdict(claim))
        if claim.name != name:
            raise TeacherMismatchError(
                f"{self.database.path}: this workspace belongs to the teacher {claim.name!r}, not to {name!r}:"
                f" use another --workspace for {name!r}"
            )
        return claim

    def teacher(self) -> TeacherClaim | None:
        """Return the teacher that the workspace belongs to, or None before the first claim."""
        fields = self.state.record(StateKey.TEACHER)
        return None if fields is None else TeacherClaim(**fields)

    def _whole(self, rows: list[Row]) -> list[Any]:
        """Return rows with what the older ones left in files of the archive."""
        return fill_examples(self.database, rows)

    def _refused(self, rows: list[tuple[Any, ...]], error: StoreError) -> StoreError:
        """Return the error that names the first of these rows that can't be appended, now that none was."""
        ids, steps = set[str](), dict[tuple[str, int], str]()
        for decision_id, episode, step, *_ in rows:
            if decision_id in ids or self.get(decision_id) is not None:
                reason = f"decision {decision_id!r} is recorded already: each decision needs an id of its own"
            elif (other := steps.get((episode, step)) or self.id_at(episode, step)) is not None:
                reason = (
                    f"step {step} of episode {episode!r} is recorded already, as decision {other!r}:"
                    " go on after last_step(), or under another episode"
                )
            else:
                ids.add(decision_id)
                steps[episode, step] = decision_id
                continue
            return StoreError(f"{self.database.path}: {reason}")
        return StoreError(f"{self.database.path}: decision {rows[0][0]!r}: {error}") if len(rows) == 1 else error


def _numbered(row: Row, renamed: Mapping[str, str]) -> NumberedExample:
    example = _example(row, renamed)
    recorded = tuple(json.loads(row["actions"])) if renamed else example.decision.actions  # a training reads them all
    return NumberedExample(example, row["seq"], row["outcome_seq"], recorded)


def _example(row: Row, renamed: Mapping[str, str]) -> Example:
    probabilities, action = row["probabilities"], row["action"]
    decision = Decision(
        episode=row["episode"],
        step=row["step"],
        state=load_state(row["state"]),
        actions=tuple(renamed.get(name, name) for name in json.loads(row["actions"])),
        action=Action(renamed.get(action, action), json.loads(row["argument"])),
        probabilities=None if probabilities is None else tuple(json.loads(probabilities)),
        policy=row["policy"],
        id=row["id"],
        decided_at=datetime.fromisoformat(row["decided_at"]),
        propensity=row["propensity"],
    )
    if row["status"] is None:
        return Example(decision, None)
    outcome = Outcome(
        decision_id=decision.id,
        status=row["status"],
        gained=row["gained"],
        reward=row["reward"],
        detail=row["detail"],
        result=json.loads(row["result"]),
        recorded_at=datetime.fromisoformat(row["recorded_at"]),
        components=json.loads(row["components"]),
    )
    return Example(decision, outcome)
