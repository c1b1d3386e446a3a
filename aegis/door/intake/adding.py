"""Decisions that another program logged, added to a decision point one after the other."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from aegis.door.intake.result import Intake
from aegis.door.outcome import Report, add_outcome, to_number
from aegis.errors import DataError
from aegis.formats import TOGETHER, LoggedDecision
from aegis.lifecycle.point import read_point
from aegis.rendering import canonical_json
from aegis.store import DecisionStore
from aegis.store.exchange import EPISODE_RECORDS
from aegis.store.record import find_fault
from aegis.types import Action, ActionList, Decision

_SHOWN = 10
_WORDS = ("words", "name", "description")
"""What of an action a file may call it by; the later one counts before the earlier"""


class Adding:
    """Adds logged decisions to a point, one after the other."""

    def __init__(
        self, store: DecisionStore, intake: Intake, teacher: str, begin: datetime, table: bool = False
    ) -> None:
        """Take a point's store. begin: the moment of a decision without one, before the first one that has one."""
        self._store, self._intake, self._teacher, self._table = store, intake, teacher, table
        self._last, self._since, self._dated = begin, 0, False
        specs = intake.actions.specs
        # By each word that stands for it. A description counts before a name: it may be a label as the file has it.
        self._names: dict[str, str] = {}
        for words in _WORDS:
            self._names |= {getattr(spec, words): spec.name for spec in specs}
        point = read_point(store)
        self._renamed = point.renamed or {}
        self._retired = {getattr(spec, words) for words in _WORDS for spec in point.retired}
        self._places = {name: place for place, name in enumerate(intake.actions.names)}
        self._combined = _combinations(intake.actions)
        self._contents: Counter[str] = Counter()
        self._first = ""
        self._ordinal = 0

    def add(self, logged: LoggedDecision) -> None:
        """Add one decision, or count why not."""
        try:
            self._add(logged)
        except DataError as error:
            self._intake.refuse(logged.position, str(error))

    def _add(self, logged: LoggedDecision) -> None:
        place = self._ordinal
        self._ordinal += 1
        action, reward, id, known = self._find(logged)
        moment = self._moment(logged)
        if known:
            self._intake.already_there += 1
            self._intake.nameless += not logged.id and logged.at is None
        else:
            episode = logged.episode or f"import-{self._first}-{place // EPISODE_RECORDS:05d}"
            self._append(logged, id, episode, action, moment)
        if reward is not None and (current := self._store.get(id)) is not None and current.outcome is None:
            self._intake.rewards += add_outcome(self._store, id, Report(reward))

    def knows(self, logged: LoggedDecision) -> bool:
        """Tell whether the point has this decision; False for one that can't be used."""
        try:
            return self._find(logged)[-1]
        except DataError:
            return False

    def _find(self, logged: LoggedDecision) -> tuple[str, float | None, str, bool]:
        """Return a decision's action, reward and id, and whether it is recorded; raises `DataError` for a bad one."""
        action = self._name(logged.action)
        if action is None:
            raise DataError(f"action {logged.action!r} {self._explain(logged.action)}")
        if fault := find_fault(dict(logged.state)):
            raise DataError(f"state: {fault}")
        reward = None if logged.reward is None else to_number("reward", logged.reward)
        content = self._content(logged)
        self._first = self._first or content[:12]
        return action, reward, *self._find_id(logged, content, action)

    def _append(self, logged: LoggedDecision, id: str, episode: str, action: str, moment: datetime) -> None:
        intake, offered = self._intake, self._offered(logged, action)
        last = self._store.last_step(episode)
        policy = self._teacher or logged.teacher or intake.teacher
        self._store.append(
            Decision(
                episode=episode,
                step=0 if last is None else last + 1,
                state=logged.state,
                actions=offered,
                action=Action(action),
                probabilities=self._probabilities(logged, offered),
                policy=policy,
                id=id,
                decided_at=moment,
            )
        )
        intake.counts[action] += 1
        intake.undated += logged.at is None
        intake.blocks += not logged.episode
        if policy != intake.teacher:
            intake.other_teachers[policy] += 1

    def _moment(self, logged: LoggedDecision) -> datetime:
        """Return when a decision was made; the file's order stands for a time that it does not say."""
        if logged.at is not None:
            self._last, self._since, self._dated = logged.at, 0, True
            return logged.at
        moment = self._last + timedelta(microseconds=self._since + self._dated)
        self._since += 1
        return moment

    def _explain(self, label: str) -> str:
        """Return why an action is none of the point's, and what to write in its place."""
        if label in self._renamed:
            return f"was renamed here: write {self._renamed[label]!r} in the file"
        if label in self._retired:
            return "is retired here: no training learns from it"
        return f"is none of this decision point's: {', '.join(self._intake.actions.names[:_SHOWN])}"

    def _name(self, label: str) -> str | None:
        return self._names.get(label) or self._names.get(" ".join(label.split()))

    def _offered(self, logged: LoggedDecision, action: str) -> tuple[str, ...]:
        offered = {name for label in logged.offered if (name := self._name(label))}
        if not offered:
            return self._intake.actions.names
        if logged.chat:
            # Not only where it was taken: a menu that names it there alone would give the answer away.
            offered |= {name for name, tools in self._combined.items() if tools <= offered}
        return tuple(sorted(offered | {action}, key=self._places.__getitem__))

    def _probabilities(self, logged: LoggedDecision, offered: tuple[str, ...]) -> tuple[float, ...] | None:
        if logged.probabilities is None:
            return None
        given = {self._name(label) or label: value for label, value in logged.probabilities.items()}
        if odd := sorted(set(given) ^ set(offered)):
            raise DataError(
                f"probabilities: expected a number for each of {', '.join(offered)}; {odd[0]!r} doesn't fit"
            )
        return tuple(to_number(f"probabilities.{name}", given[name]) for name in offered)

    def _content(self, logged: LoggedDecision) -> str:
        """Return a digest of a decision's content. Decisions of equal content get digests of their own."""
        # A cell `12` was the number 12.0 in earlier imports: its digest is the same, so that no row comes twice.
        state = {key: _float(value) for key, value in logged.state.items()} if self._table else logged.state
        parts = [state, logged.action, logged.offered, logged.episode, str(logged.at or ""), logged.teacher]
        digest = _digest(canonical_json(parts))
        self._contents[digest] += 1
        return digest if self._contents[digest] == 1 else _digest(f"{digest} {self._contents[digest]}")

    def _find_id(self, logged: LoggedDecision, content: str, action: str) -> tuple[str, bool]:
        """Return a decision's id, the file's own or one of its content, and whether the decision is recorded."""
        for id in filter(None, (logged.id, content)):
            known = self._store.get(id)
            if known is None:
                self._intake.renamed += id != logged.id and bool(logged.id)
                return id, False
            same_moment = logged.at is None or known.decision.decided_at == logged.at
            if same_moment and (known.decision.state, known.decision.action.name) == (logged.state, action):
                return id, True
        raise DataError(f"id: {logged.id or content!r} is another decision's here")


def _combinations(actions: ActionList) -> dict[str, set[str]]:
    """Return the actions that are several tools at once, such as `book+search`, with the names of these tools."""
    named = {spec.description: spec.name for spec in actions.specs}
    tools = {spec.name: spec.description.split(TOGETHER) for spec in actions.specs}
    return {
        name: {named[one] for one in parts}
        for name, parts in tools.items()
        if len(parts) > 1 and all(one in named for one in parts)
    }


def _float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
