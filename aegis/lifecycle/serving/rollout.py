"""A candidate's way from the gate to the switch: shadow, canary, full.

In shadow the candidate answers in a thread of its own, after the teacher's decision was carried out. In a canary it
makes the decisions that are drawn for it, and a thread of its own asks the teacher about each of them. All figures are
in the workspace, so a stage continues after a restart.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from aegis.config.plan import TrainingPlan
from aegis.errors import ChangedModelError
from aegis.lifecycle.policies.aside import AsideTeacher
from aegis.lifecycle.policies.background import BackgroundLoad
from aegis.lifecycle.policies.canary import CanaryPolicy
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.serving.monitor import keep_label
from aegis.lifecycle.serving.stage import StageProgress, keep_stage, next_stage, read_stage
from aegis.promotion import ModelRegistry, Serving
from aegis.promotion.monitoring.stage import StageVerdict, judge_stage
from aegis.promotion.registry import CANARY, ROLLOUT, SHADOW
from aegis.rendering import clean_text
from aegis.store import DecisionStore
from aegis.types import ActionList, Choice, Decision, Policy
from aegis.workspace import Workspace

_FAULTS = 3
"""Failures in a row after which a candidate in shadow is refused"""
_FAULT_CHARACTERS = 300


@dataclass
class _Aside:
    """The policy that is asked beside the decisions of one stage."""

    stage: tuple[str, str]
    asked: AsideTeacher
    faults: int = 0


class Rollout:
    """Moves the candidate of one workspace from stage to stage, or refuses it.

    load_teacher: loads the teacher for an open store. loader: loads the candidate, beside the decisions. plan: returns
    a training's plan as it is now, for its stages and the gate's threshold. tell hears, in one line each, what a person
    should know.
    """

    def __init__(
        self,
        store: DecisionStore,
        workspace: Workspace,
        actions: ActionList,
        load_teacher: Callable[[DecisionStore], Policy],
        loader: VersionLoader,
        plan: Callable[[], TrainingPlan],
        rng: random.Random,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._store = store
        self._workspace = workspace
        self._registry = ModelRegistry(store, workspace)
        self._actions = actions
        self._load_teacher = load_teacher
        self._loader = loader
        self._versions = BackgroundLoad(loader.load)
        self._plan = plan
        self._config = plan().rollout
        self._rng = rng
        self._tell = tell
        self._aside: _Aside | None = None
        self._mixed: CanaryPolicy | None = None
        self._canary_failure = ""
        self._told = ""

    @property
    def waits(self) -> bool:
        """Whether a candidate is in a stage; no training begins before its stages end."""
        return self._registry.candidate() is not None

    def mix(self, teacher: Policy) -> Policy:
        """Return the policy that decides: in a canary the candidate and the teacher together, else the teacher."""
        candidate = self._registry.candidate()
        if candidate is None or candidate.stage != CANARY:
            return teacher
        loaded = self._versions.loaded(Serving(candidate.name, candidate.folder, ""))
        if loaded is None:
            failure = self._versions.take_failure()
            if isinstance(failure, ChangedModelError):
                self._registry.refuse(ROLLOUT, str(failure), {})
                self._tell(f"{candidate.name} is refused: {failure}")
            elif failure is not None:
                self._tell(f"{candidate.name} can't begin its canary yet: {str(failure) or type(failure).__name__}")
            return teacher
        mixed = self._mixed
        if mixed is None or mixed.candidate is not loaded or mixed.teacher is not teacher:
            self._canary_failure = ""
            self._mixed = mixed = CanaryPolicy(loaded, teacher, self._config.canary, self._rng, self._note_failure)
        return mixed

    def _note_failure(self, why: str) -> None:
        self._canary_failure = clean_text(why, _FAULT_CHARACTERS)

    def after(self, decision: Decision) -> None:
        """Count a decision and the answers that have arrived; move the candidate to its next stage when it is due."""
        progress = read_stage(self._store, self._registry, self._config)
        if progress is None or self._registry.serving() is not None:
            self.close()
            return
        candidate, aside = progress.candidate, self._asides(progress)
        if self._told != candidate.name + candidate.stage:
            self._told = candidate.name + candidate.stage
            keep_stage(self._store, progress)
            self._tell(progress.describe())
        if candidate.stage == SHADOW and not self._config.shadow:
            self._advance(progress, StageVerdict(True, True, "--shadow is 0: left out", {}))
            return
        if candidate.stage == CANARY and not self._config.canary:
            self._advance(progress, StageVerdict(True, True, "--canary is 0: left out", {}))
            return
        if candidate.stage == CANARY and self._canary_failure:
            text = f"it failed to decide: {self._canary_failure}"
            self._advance(progress, StageVerdict(True, False, text, {}))
            return
        if self._settle(aside) or len(decision.actions) < 2:  # over, or there was nothing to agree on
            return
        if (candidate.stage == SHADOW) == (decision.policy != candidate.name):
            aside.asked.ask(decision)

    def close(self) -> None:
        """Ask no further question, and forget the candidate."""
        if self._aside is not None:
            self._aside.asked.close()
            self._versions.forget()
        self._aside = self._mixed = None
        self._canary_failure = ""

    def _asides(self, progress: StageProgress) -> _Aside:
        stage = (progress.candidate.name, progress.candidate.stage)
        if self._aside is None or self._aside.stage != stage:
            if self._aside is not None:
                self._aside.asked.close()
            folder = progress.candidate.folder
            load = self._load_teacher
            if progress.candidate.stage == SHADOW:
                serving = Serving(progress.candidate.name, folder, "")
                load = lambda store: self._loader.load(serving)  # noqa: E731
            self._aside = _Aside(stage, AsideTeacher(self._workspace, load, self._actions))
        return self._aside

    def _settle(self, aside: _Aside) -> bool:
        """Count the answers that have arrived; return whether the stage is over."""
        for decision, answer, fault in aside.asked.answers():
            if answer is None:
                if self._bear_with(aside, fault):
                    return True
            elif self._weigh(decision, answer):
                return True
        return False

    def _bear_with(self, aside: _Aside, fault: str) -> bool:
        aside.faults += 1
        name, stage = aside.stage
        text = clean_text(fault, _FAULT_CHARACTERS)
        progress = read_stage(self._store, self._registry, self._config)
        if stage == SHADOW and aside.faults >= _FAULTS and progress is not None:
            self._advance(progress, StageVerdict(True, False, f"it failed to answer: {text}", {}))
            return True
        if aside.faults == 1:
            asked = name if stage == SHADOW else "the teacher"
            self._tell(f"{asked} can't be asked beside the decisions: {text}")
        return False

    def _weigh(self, decision: Decision, answer: Choice) -> bool:
        """Count whether candidate and teacher agree on a decision of either."""
        # One transaction: a person may promote or roll back at the same moment.
        with self._store.database.transaction():
            progress = read_stage(self._store, self._registry, self._config)
            if progress is None or self._registry.serving() is not None:
                return True
            if progress.candidate.stage == CANARY:
                keep_label(self._store, decision, answer.probabilities, "canary")
            progress.monitor.observe(answer.action == decision.action.name, decision.episode)
            keep_stage(self._store, progress)
            rewards = None
            if progress.candidate.stage == CANARY and progress.monitor.audits >= progress.wanted:
                found, claim = self._store.rewards_after(progress.candidate.began), self._store.teacher()
                rewards = found.get(progress.candidate.name, []), found.get(claim.name if claim else "", [])
            verdict = judge_stage(progress.monitor, progress.wanted, self._plan().gate.threshold, rewards)
            if verdict.over:
                self._advance(progress, verdict)
        return verdict.over

    def _advance(self, progress: StageProgress, verdict: StageVerdict) -> None:
        """Record how a stage ended, and begin the next one or the switch."""
        name, stage = progress.candidate.name, progress.candidate.stage
        if not verdict.passed:
            self._registry.refuse(ROLLOUT, f"{stage}: {verdict.reason}", verdict.evidence)
            self._tell(f"{name} refused in {stage}: {verdict.reason}; the teacher goes on, and more is collected")
        elif following := next_stage(stage, self._config):
            self._registry.begin_stage(name, following, ROLLOUT, f"{stage}: {verdict.reason}", verdict.evidence)
            self._tell(f"{name} passed its {stage}: {verdict.reason}")
        else:
            self._registry.promote_again(name, ROLLOUT, f"{stage}: {verdict.reason}", verdict.evidence)
            self._tell(f"{name} passed its {stage} and takes over: {verdict.reason}")
        if verdict.passed:
            return
        self._versions.forget()
        self._mixed, self._canary_failure = None, ""
