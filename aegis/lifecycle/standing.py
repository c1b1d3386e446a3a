"""Where a workspace stands, read from the workspace alone, in a time that does not grow with its decisions.

The phase is not recorded. It follows from the decisions, the trainings and what serves, so it is right after a kill at
any moment.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aegis.config import (
    PHASE_1_DECISIONS,
    GateConfig,
    ReinforceConfig,
    RunConfig,
)
from aegis.config.plan import TrainingPlan
from aegis.errors import ConfigError, StoreError
from aegis.lifecycle.lock import is_held
from aegis.lifecycle.milestone import describe_milestone, describe_phase
from aegis.lifecycle.opening import existing, find_promise, open_store, read_agent
from aegis.lifecycle.point import read_names, read_retired
from aegis.lifecycle.rl.reward_comparison import compare_rewards, read_state
from aegis.lifecycle.serving.stage import read_stage
from aegis.lifecycle.training.need import read_needs
from aegis.lifecycle.training.rare import find_rare_actions
from aegis.lifecycle.training.refusal import verdict_lines
from aegis.promotion import ModelRegistry, Serving
from aegis.store import (
    DecisionStore,
    ImprovementLog,
    LabelBook,
    Tally,
    TrainingLog,
    TrainingRecord,
    read_tallies,
)
from aegis.store.label import PERSON
from aegis.workspace import HRM, Workspace


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """The newest training."""

    number: int
    status: str
    """`running`, `switched`, `passed` (the gate, with stages before the switch), `refused` or `failed`"""
    active: bool
    """Whether a process carries it out at this moment"""
    decisions: int
    """Those to learn from, and those held out"""
    epoch: int
    """The last finished epoch; 0 before the first"""
    epochs: int
    loss: float | None
    heldout_accuracy: float | None
    checkpoints: tuple[str, ...]
    """Its own, the oldest first"""
    verdict: str
    """Why the training ended; '' while it runs"""
    rules: tuple[str, ...] = ()
    """The gate's verdict: a line for each rule, with ✓ or ✗, the broken ones first; for a failed training the reason"""
    learned: int | None = None
    """Decisions that it learned from; None before its judgement"""
    judged: str = HRM
    """The kind of version that went to the gate; the epochs' accuracy is the HRM's, whichever it was"""
    heldout: int | None = None
    """Decisions that it was judged on; as the HRM reads them, none of their states is among those it learned from"""


@dataclass(frozen=True, slots=True)
class ImprovementProgress:
    """Phase 4 beside the agent."""

    reference: str
    """The version that phase 4 began with"""
    active: bool
    """Whether a process improves the HRM at this moment"""
    rewards: Mapping[str, Any]
    """What the newest decisions of the improved versions and of the reference earned; see `RewardComparison`"""
    baseline_decisions: int
    """Rewards of the reference that must be known before the first update"""
    pause: int
    """Decisions until phase 4 continues after a roll-back; 0 where it does not pause"""
    last: Mapping[str, Any]
    """Results of the newest update"""

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object, under today's names and, for scripts, under those of earlier versions."""
        names = {"reference": "anchor", "reference_decisions": "anchor_decisions"}
        earning = {names.get(name, name): value for name, value in self.rewards.items()}
        return asdict(self) | {"anchor": self.reference, "earning": earning}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a workspace stands."""

    workspace: str
    phase: int
    """1 data collection, 2 HRM training, 3 switch (an HRM proves itself, or serves and has not decided yet), 4 RL
    fine-tuning"""
    running: bool
    """Whether an agent runs by itself here"""
    process: int | None
    doing: str
    """What that agent does, by its last report; '' where no agent runs"""
    teacher: str | None
    serving: str | None
    """Name of the policy that decides next: the teacher's or an HRM's; None before there is a teacher"""
    using_hrm: bool
    collected: int
    """Decisions by the teacher"""
    target: int
    """Teacher's decisions at which the next training starts (or the last one did)"""
    decisions: int
    """By all policies"""
    actions: Mapping[str, int]
    """The teacher's decisions by action, the commonest first"""
    mean_gained: float | None
    """New knowledge items for each decision of the teacher whose outcome is known"""
    hrm_decisions: int
    hrm_actions: Mapping[str, int]
    mean_reward: float | None
    """Over the rewarded decisions of the HRM that serves and of the versions it was improved from"""
    training: TrainingProgress | None
    rl_updates: int
    """Updates by policy gradient that the HRM that serves has behind it, those in simulated worlds too"""
    unserved_updates: Mapping[str, int] = field(default_factory=dict)
    """Those of versions that were improved from it in simulated worlds, and never served"""
    labelled: int = 0
    """Decisions by an HRM that the teacher or a person labelled: a training learns from them, too"""
    labelled_by_person: int = 0
    improvement: ImprovementProgress | None = None
    """Phase 4 beside the agent; None before phase 4 began, and where it is off"""
    candidate: str | None = None
    """An HRM that passed the gate and proves itself before it serves"""
    stage: str = ""
    """`shadow` or `canary`, '' without a candidate"""
    trial: str = ""
    """How far the candidate is in its stage, in one line"""
    silent: str | None = None
    """An HRM that passed the gate and only answers silently: its decision point is in the mode observe"""
    idle: str = ""
    """Why the version that serves decides nothing: the promised agreement is certified for no share; '' else"""
    rolled_back: str = ""
    """Which HRM was taken back last, by whom and why; '' where one serves, or none was taken back"""
    learned_from_file: int = 0
    """Decisions of a file, such as the shipped ones, of the newest training, those held out among them; 0: they were
    this workspace's own"""
    rare_actions: Mapping[str, int] = field(default_factory=dict)
    """Actions that an HRM can hardly learn here, with the teacher's decisions for each, the rarest first"""
    needs: str = ""
    """Why no training can begin here, or why the first waits for more decisions than were asked for; '' otherwise"""
    retired: Sequence[str] = field(default_factory=list)
    """Actions that are no longer taken: their decisions are counted, and no training learns from them"""

    @property
    def point(self) -> str | None:
        """The decision point's name; None for an agent's workspace."""
        return Workspace(Path(self.workspace)).point_name

    @property
    def remaining(self) -> int:
        """Decisions until the next training."""
        return max(0, self.target - self.collected)

    def to_record(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        improvement = self.improvement.to_record() if self.improvement else None
        words = {"phase_words": describe_phase(self), "next_milestone": describe_milestone(self)}
        return asdict(self) | words | {"remaining": self.remaining, "improvement": improvement}


def read_standing(workspace: Workspace) -> Standing:
    """Read where a workspace stands; raises `StoreError` where there is none."""
    with open_store(existing(workspace)) as store:
        return standing_of(store, workspace)


def standing_of(store: DecisionStore, workspace: Workspace) -> Standing:
    """Return where the workspace of an open store stands."""
    claim, log = store.teacher(), TrainingLog(store.database)
    teacher = claim.name if claim else None
    registry = ModelRegistry(store, workspace)
    served = registry.serving()
    tallies = read_tallies(store.database)
    own = [tally for tally in tallies if tally.policy == teacher]
    family = registry.family(served.name) if served else frozenset()
    by_hrm = [tally for tally in tallies if tally.policy in family]
    latest = log.latest()
    agent, running = read_agent(store), is_held(workspace.agent_lock)
    silent, idle = _find_hindrance(store, workspace, agent, served)
    decides = served is not None and not silent and not idle
    progress = read_stage(store, registry)
    target = _find_target(log, registry, agent, _sum(own, "decisions"), serves=bool(served or progress))
    updates, unserved = _count_updates(store, registry, served.name if served else None)
    return Standing(
        workspace=str(workspace.folder),
        phase=_phase(bool(served), 0 if idle else _sum(by_hrm, "decisions"), latest, proves=progress is not None),
        running=running,
        process=agent.get("pid") if running else None,
        doing=str(agent.get("doing", "")) if running else "",
        teacher=teacher,
        serving=served.name if served and decides else teacher,
        using_hrm=decides,
        collected=_sum(own, "decisions"),
        target=target,
        decisions=sum(tally.decisions for tally in tallies),
        actions={tally.action: tally.decisions for tally in own},
        mean_gained=_mean(own, "gained", "known"),
        hrm_decisions=_sum(by_hrm, "decisions"),
        hrm_actions=_by_action(by_hrm),
        mean_reward=_mean(by_hrm, "reward", "rewarded"),
        training=_progress(log, latest, workspace) if latest else None,
        candidate=progress.candidate.name if progress else None,
        stage=progress.candidate.stage if progress else "",
        trial=progress.describe() if progress else "",
        silent=silent,
        idle=idle,
        rolled_back="" if served else _describe_roll_back(registry),
        learned_from_file=latest.decisions if latest and _was_of_a_file(latest) else 0,
        rare_actions=find_rare_actions(_by_action(own), target, read_names(store)),
        needs=read_needs(log, agent, trains=running and not served),
        retired=read_retired(store),
        rl_updates=updates,
        unserved_updates=unserved,
        **_count_labels(store, teacher),
        improvement=_read_improvement(store, workspace),
    )


def _count_labels(store: DecisionStore, teacher: str | None) -> dict[str, int]:
    """Return `Standing.labelled` and `Standing.labelled_by_person` by name."""
    labels = LabelBook(store.database)
    if teacher is None:
        return {}
    return {"labelled": labels.count(teacher), "labelled_by_person": labels.count(teacher, reason=PERSON)}


def _was_of_a_file(training: TrainingRecord) -> bool:
    """Return whether a training learned from other decisions than the workspace's own (`aegis train --data`)."""
    return training.last_seq is None and not training.report.get("heldout", {}).get("own", False)


def next_training_at(
    log: TrainingLog, collect: int, more_share: float = RunConfig().more_share, serves: bool = True
) -> int:
    """Return how many of the teacher's decisions start the next training; while one runs, how many started it.

    serves: whether an HRM serves. If none serves after a switch, it was rolled back, and more decisions are needed.
    """
    last = log.latest_of_workspace()
    if last is None:
        return collect
    if last.status == "running" or (last.status == "switched" and serves):
        return last.decisions
    return max(collect, math.ceil(last.decisions * (1 + more_share)))


def _find_target(
    log: TrainingLog, registry: ModelRegistry, agent: Mapping[str, Any], collected: int, serves: bool
) -> int:
    """Return `Standing.target`; where none serves after a rollback, the cool-down may move it."""
    target = next_training_at(log, int(agent.get("collect", PHASE_1_DECISIONS)), serves=serves)
    cool_down = GateConfig().cool_down_decisions
    with suppress(ConfigError):  # an agent notes no plan, and another version may have noted one
        cool_down = TrainingPlan.from_json(str(agent.get("plan") or "")).gate.cool_down_decisions
    cooling = 0 if serves else registry.cooling_decisions(cool_down)
    return max(target, collected + cooling) if cooling else target


def read_plan(workspace: Workspace) -> TrainingPlan:
    """Return how a point's `aegis.Decider` trains, by what it noted last; the defaults where it noted nothing.

    Raises `ConfigError` for a note that this version can't read.
    """
    if not workspace.database.exists():
        return TrainingPlan()
    with open_store(workspace) as store:
        noted = read_agent(store).get("plan")
    return TrainingPlan() if noted is None else TrainingPlan.from_json(noted)


def _find_hindrance(
    store: DecisionStore, workspace: Workspace, agent: Mapping[str, Any], served: Serving | None
) -> tuple[str | None, str]:
    """Return `Standing.silent` and `Standing.idle`."""
    if served is not None and agent.get("mode") == "observe":
        return served.name, ""
    if (promised := find_promise(store, workspace, agent)) is None:
        return None, ""
    from aegis.lifecycle.serving.certificate import explain_idle  # needs NumPy, which a status else does without

    return None, explain_idle(store, workspace, promised)


def _phase(serves: bool, decided: int, latest: TrainingRecord | None, proves: bool) -> int:
    if serves:
        return 4 if decided else 3
    if proves:
        return 3
    return 2 if latest is not None and latest.status == "running" else 1


def _progress(log: TrainingLog, record: TrainingRecord, workspace: Workspace) -> TrainingProgress:
    done = log.epochs(record.id)
    last, rules = done[-1] if done else {}, verdict_lines(record)
    epoch = int(last.get("epoch", 0))
    return TrainingProgress(
        number=record.id,
        status="passed" if "stage" in record.report else record.status,
        active=record.status == "running" and is_held(workspace.training_lock),
        decisions=record.decisions,
        epoch=epoch,
        epochs=_planned_epochs(record),
        loss=last.get("loss"),
        heldout_accuracy=last.get("heldout_accuracy"),
        checkpoints=_checkpoints(workspace.checkpoints, epoch),
        verdict="; ".join(rules),
        rules=rules,
        learned=record.report.get("train_examples"),
        judged=record.report.get("kind", HRM),
        heldout=record.report.get("heldout", {}).get("n"),
    )


def _describe_roll_back(registry: ModelRegistry) -> str:
    """Return which version was taken back last, by whom and why; '' without one."""
    for event in reversed(registry.events()):
        if event.kind == "rolled_back":
            return f"{event.previous} was rolled back ({event.who}): {event.reason}"
    return ""


def _planned_epochs(record: TrainingRecord) -> int:
    """Return how many epochs a training is to have; 0 where this version can't read its plan."""
    try:
        return record.plan.training.epochs
    except StoreError:
        return 0


def _read_improvement(store: DecisionStore, workspace: Workspace) -> ImprovementProgress | None:
    state = read_state(store)
    if state is None:
        return None
    last = ImprovementLog(store.database).latest()
    return ImprovementProgress(
        reference=state.reference,
        active=is_held(workspace.improvement_lock),
        rewards=compare_rewards(store, state).to_record(),
        baseline_decisions=ReinforceConfig().baseline_decisions,
        pause=max(0, state.paused_until - store.newest()),
        last=last.results if last else {},
    )


def _count_updates(store: DecisionStore, registry: ModelRegistry, served: str | None) -> tuple[int, dict[str, int]]:
    """Return the updates behind the HRM that serves, and those of versions of the same base that never served."""
    if served is None:
        return 0, {}
    base = registry.base_of(served)
    counts = ImprovementLog(store.database).counts(base or served)
    trials = registry.unserved_trials(base or served)
    unserved = {name: count for name, count in counts.items() if name in trials}
    return (sum(counts.values()) - sum(unserved.values()) if base else 0), unserved


def _by_action(tallies: list[Tally]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for tally in tallies:
        counts[tally.action] += tally.decisions
    return dict(counts.most_common())


def _checkpoints(folder: Path, epoch: int) -> tuple[str, ...]:
    """Return a training's checkpoints, up to its last epoch, the oldest first.

    A training removes the checkpoints of the training before it when its first epoch begins; until then it has none.
    """
    names = (path.name for path in folder.glob("epoch-*") if path.is_dir())
    found = {name: name.removeprefix("epoch-") for name in names}
    return tuple(sorted(name for name, number in found.items() if number.isdecimal() and int(number) <= epoch))


def _sum(tallies: list[Tally], name: str) -> int:
    return sum(getattr(tally, name) for tally in tallies)


def _mean(tallies: list[Tally], name: str, of: str) -> float | None:
    number = _sum(tallies, of)
    return sum(getattr(tally, name) for tally in tallies) / number if number else None
