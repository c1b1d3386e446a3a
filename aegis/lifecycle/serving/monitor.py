"""The monitor of an HRM that serves: asks its teacher about some of its decisions, warns, and rolls back.

Its state is in the workspace: it continues after a restart, and many processes may take part.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence

from aegis.config import MonitorConfig
from aegis.errors import CheckpointError
from aegis.lifecycle.policies.aside import AsideTeacher, decide_again
from aegis.lifecycle.serving.improved import ActionMonitor, keep_action_monitor, read_action_monitor
from aegis.promotion import AgreementMonitor, ModelRegistry, MonitorLevel
from aegis.promotion.certifying.promise import promise_of
from aegis.promotion.registry import MONITOR
from aegis.rendering import clean_text
from aegis.store import DecisionStore, LabelBook, StateKey
from aegis.types import ActionList, Choice, Decision, Policy, most_probable, utc_now
from aegis.workspace import Workspace

_RETRY_SECONDS = 300.0
"""Time after a failure before the teacher is asked again"""


class ServingMonitor:
    """Audits decisions of the HRM that serves, and warns or rolls back when the evidence is there.

    load_teacher: loads the teacher at the first audit. aside: asks the teacher in a thread of its own instead; its
    answers count at a later decision. When the teacher can't be asked, the monitor tells it once and tries again after
    five minutes. tell hears, in one line each, what a person should know.
    """

    def __init__(
        self,
        store: DecisionStore,
        workspace: Workspace,
        actions: ActionList,
        load_teacher: Callable[[], Policy],
        config: MonitorConfig | None = None,
        rng: random.Random | None = None,
        tell: Callable[[str], None] = lambda line: None,
        aside: AsideTeacher | None = None,
    ) -> None:
        self._store = store
        self._registry = ModelRegistry(store, workspace)
        self._models = workspace.models
        self._actions = actions
        self._load_teacher = load_teacher
        self._config = config or MonitorConfig()
        self._rng = rng or random.Random()
        self._tell = tell
        self._aside = aside
        self._teacher: Policy | None = None
        self.audited = self.agreed = 0
        """Decisions that were audited since it was made, and those in which the teacher agreed"""
        self._told: set[str] = set()
        self._drawn: dict[str, float] = {}
        """By decision that waits for its answer: the probability with which it was drawn"""
        self._blind_until = math.inf if self._config.audit_rate == 0 else 0.0

    def after(self, decision: Decision) -> bool:
        """Audit a decision after it was carried out, if it is drawn; return whether another policy serves from now on.

        The teacher's answer is counted and never changes the decision.
        """
        changed = self._settle()
        if len(decision.actions) < 2:  # there was nothing to agree on
            return changed
        served = None if changed or time.monotonic() < self._blind_until else self._registry.serving()
        if served is None or not self._is_line_of(served.name, decision.policy):
            return changed
        base = self._registry.base_of(served.name)
        monitor: AgreementMonitor | ActionMonitor | None
        if base is not None:  # it may outgrow its teacher: it is followed by action, and `rl.worker` compares rewards
            monitor = self._read_by_action(base)
        elif (monitor := read_monitor(self._store, self._registry, served.name, self._config)) is None:
            self._tell_once(f"{served.name} is not monitored: its promise was not recorded; train again")
        if monitor is None:
            return False
        rate = monitor.rate_of(decision.episode)
        if self._rng.random() >= rate:
            return False
        if self._aside is not None:
            if self._aside.ask(decision):
                self._drawn[decision.id] = rate
            return False
        answer = self._ask(decision)
        return answer is not None and self._weigh(decision, answer, rate)

    def close(self) -> None:
        """Ask no further question."""
        if self._aside is not None:
            self._aside.close()

    def _settle(self) -> bool:
        """Count the answers that have arrived; return whether another policy serves from now on."""
        changed = False
        for decision, answer, fault in self._aside.answers() if self._aside else ():
            rate = self._drawn.pop(decision.id, None)
            if answer is None:
                self._close_eyes(fault)
            else:
                changed |= self._weigh(decision, answer, rate)
        return changed

    def _ask(self, decision: Decision) -> Choice | None:
        try:
            self._teacher = self._teacher or self._load_teacher()
            return decide_again(self._teacher, decision, self._actions)
        except Exception as error:  # whatever the error is, the HRM continues to decide
            self._close_eyes(str(error) or type(error).__name__)
            return None

    def _close_eyes(self, fault: str) -> None:
        self._blind_until = time.monotonic() + _RETRY_SECONDS
        self._tell_once(f"the HRM is not monitored, because its teacher can't be asked: {clean_text(fault, 300)}")

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)

    def _weigh(self, decision: Decision, answer: Choice, rate: float | None) -> bool:
        # An action drawn for exploration is not the action that the HRM thinks best.
        own = decision.action.name
        if decision.probabilities is not None:
            own = decision.actions[most_probable(decision.probabilities)]
        # One transaction: another process of this workspace may audit, and roll back, at the same moment.
        with self._store.database.transaction():
            keep_label(self._store, decision, answer.probabilities, "audit")
            if (base := self._registry.base_of(decision.policy)) is not None:
                self._weigh_action(base, decision.policy, own, answer.action)
                return False
            return self.compare(decision.policy, answer.action == own, decision.episode, rate)

    def compare(self, name: str, agrees: bool, episode: str = "", rate: float | None = None) -> bool:
        """Count whether a version and its teacher agree on a decision that was drawn without regard to its answers.

        episode, rate: as for `AgreementMonitor.observe`. Return whether another policy serves from now on.
        """
        with self._store.database.transaction():
            served = self._registry.serving()
            monitor = read_monitor(self._store, self._registry, name, self._config)
            if served is None or served.name != name or monitor is None:
                return served is None or served.name != name
            self.audited, self.agreed = self.audited + 1, self.agreed + agrees
            level = monitor.observe(agrees, episode, rate)
            if level is MonitorLevel.WARN and not monitor.warned:
                monitor.warned = True
                self._warn(name, monitor)
            self._store.state.keep(StateKey.MONITOR, monitor.to_record(), name)
            if level not in (MonitorLevel.ROLL_BACK, MonitorLevel.TEACHER):
                return False
            self._roll_back(name, level, monitor)
        return True

    def _weigh_action(self, base: str, name: str, own: str, answer: str) -> None:
        """Count whether a version that phase 4 improved takes its teacher's action."""
        monitor = self._read_by_action(base)
        if monitor is None:
            return
        self.audited, self.agreed = self.audited + 1, self.agreed + (own == answer)
        warning = monitor.observe(own, answer)
        keep_action_monitor(self._store, base, monitor)
        if warning:
            reason = f"{name}, which phase 4 improved from {base}, {warning}"
            self._registry.warn(MONITOR, reason, monitor.to_record())
            self._tell(reason)

    def _read_by_action(self, base: str) -> ActionMonitor | None:
        """Return the monitor of versions improved from a base; tell once why there is none."""
        why = "it took none of its teacher's actions often enough on the held-out decisions to tell a fall"
        try:
            monitor = read_action_monitor(self._store, self._models / base, self._config)
        except CheckpointError as error:
            monitor, why = None, str(error)
        if monitor is None:
            self._tell_once(f"versions improved from {base} are not audited action by action: {why}")
        return monitor

    def _is_line_of(self, served: str, decided: str) -> bool:
        """Return whether a decision is by the version that serves, or by another improved from the same base."""
        base = self._registry.base_of(decided) if decided != served else None
        return decided == served or (base is not None and base == self._registry.base_of(served))

    def _warn(self, name: str, monitor: AgreementMonitor) -> None:
        reason = f"{name} may agree less with its teacher than it promised: {describe_monitor(monitor)}"
        self._registry.warn(MONITOR, reason, monitor.evidence())
        self._tell(reason)

    def _roll_back(self, name: str, level: MonitorLevel, monitor: AgreementMonitor) -> None:
        target = self._registry.last_good() if level is MonitorLevel.ROLL_BACK else None
        depth = "far " if level is MonitorLevel.TEACHER else ""
        reason = f"{name} agrees {depth}less with its teacher than it promised: {describe_monitor(monitor)}"
        self._registry.roll_back(target, MONITOR, reason, monitor.evidence())
        # If it serves again one day, its monitor begins anew.
        self._store.state.clear(StateKey.MONITOR, name)
        self._tell(f"rolled back from {name} to {target or 'the teacher'}: {reason}")


def keep_label(store: DecisionStore, decision: Decision, answer: Sequence[float], reason: str) -> None:
    """Keep the teacher's answer to a decision of another policy, for the next training."""
    teacher = store.teacher()
    if teacher is not None and store.get(decision.id) is not None:
        LabelBook(store.database).append(decision, teacher.name, answer, reason, utc_now())


def read_monitor(
    store: DecisionStore, registry: ModelRegistry, name: str, config: MonitorConfig | None = None
) -> AgreementMonitor | None:
    """Return the monitor's state of a version, new before its first audit; None where the version promised nothing.

    It begins anew if another agreement is promised now than before. config: None reads what is kept.
    """
    promised = config.promised if config is not None else None
    if promised is None:
        promised = promise_of(registry.figures_of(name))
    try:
        if fields := store.state.record(StateKey.MONITOR, name):
            kept = AgreementMonitor.from_record(fields, config)
            if config is None or promised in (None, kept.promised):
                return kept
    except (ValueError, KeyError, TypeError):
        pass  # it can't be read: the monitor begins anew
    return None if promised is None else AgreementMonitor(promised, config)


def describe_monitor(monitor: AgreementMonitor) -> str:
    """Return a monitor's state in a few words."""
    fields = monitor.evidence()
    if not monitor.audits:
        return f"no decision audited yet, at least {monitor.promised:.1%} promised"
    low, high = fields["interval"]
    return (
        f"{monitor.agreed} of {monitor.audits} audited decisions ({fields['agreement']:.1%}, anytime-valid"
        f" {low:.1%} to {high:.1%}), at least {monitor.promised:.1%} promised"
    )
