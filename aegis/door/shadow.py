"""The HRM that serves, asked silently beside its teacher: in a thread of its own, its answers kept and counted."""

from __future__ import annotations

from collections.abc import Callable

from aegis.lifecycle.policies.aside import AsideTeacher
from aegis.lifecycle.serving.drift import DriftMonitor
from aegis.lifecycle.serving.monitor import ServingMonitor
from aegis.promotion import Serving
from aegis.rendering import clean_text
from aegis.store import DecisionStore, LabelBook
from aegis.types import ActionList, Choice, Decision, Policy, most_probable, utc_now
from aegis.workspace import Workspace

REASON = "shadow"
_CLOSE_SECONDS = 10.0
_FAULT_CHARACTERS = 300


class Shadow:
    """Asks one version after the other about its teacher's decisions.

    load: returns a version, in the thread that asks it. monitor counts each answer that the version would give itself
    (keeps), drift counts all. tell hears once for each version why it can't be asked.
    """

    def __init__(
        self,
        store: DecisionStore,
        workspace: Workspace,
        actions: ActionList,
        load: Callable[[Serving], Policy],
        monitor: ServingMonitor,
        tell: Callable[[str], None],
        keeps: Callable[[Choice], bool],
    ) -> None:
        self._store = store
        self._workspace = workspace
        self._actions = actions
        self._load = load
        self._monitor = monitor
        self._drift = DriftMonitor(store, workspace, tell)
        self._tell = tell
        self._keeps = keeps
        self._asked: AsideTeacher | None = None
        self._drawn: dict[str, float] = {}
        """By decision that waits for its answer: the probability with which it was drawn"""
        self._failed = False
        self.version: str | None = None
        """Who is asked now"""
        self.kept = 0
        """Its answers that are kept"""

    def follow(self, serving: Serving | None) -> None:
        """Ask this version from now on; None: ask nobody."""
        name = None if serving is None else serving.name
        if name == self.version:
            return
        self.close()
        self.version, self._failed = name, False
        if serving is not None:
            self.kept = LabelBook(self._store.database).count(serving.name)
            self._asked = AsideTeacher(self._workspace, lambda store: self._load(serving), self._actions)

    def ask(self, decision: Decision, rate: float = 1.0) -> None:
        """Ask the version about a decision of its teacher; where too many wait, the question is dropped.

        rate: the probability with which the decision was drawn for that.
        """
        if self._asked is not None and self._asked.ask(decision):
            self._drawn[decision.id] = rate

    def settle(self) -> bool:
        """Keep and count the answers that have come; return whether there were any."""
        answers = self._asked.answers() if self._asked is not None else []
        for decision, answer, fault in answers:
            rate = self._drawn.pop(decision.id, None)
            if answer is not None:
                self._keep(decision, answer, rate)
            elif not self._failed:
                self._failed = True
                self._tell(f"{self.version} can't be asked beside its teacher: {clean_text(fault, _FAULT_CHARACTERS)}")
        return bool(answers)

    def close(self) -> None:
        """Ask no further question, wait a moment for the present answer, and write what is counted."""
        if self._asked is not None:
            # A process that ends within the code of torch is aborted.
            self._asked.close(_CLOSE_SECONDS)
        self._asked = self.version = None
        self._drift.close()
        self._drawn = {}

    def _keep(self, decision: Decision, answer: Choice, rate: float | None) -> None:
        name = self.version
        assert name is not None  # answers come from a version
        with self._store.database.transaction():
            LabelBook(self._store.database).append(decision, name, answer.probabilities, REASON, utc_now())
        self.kept += 1
        self._drift.after(answer, name, decision.episode)
        if not self._keeps(answer):
            return
        agrees = decision.actions[most_probable(answer.probabilities)] == decision.action.name
        self._monitor.compare(name, agrees, decision.episode, rate)
