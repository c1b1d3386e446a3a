"""The phases of a workspace over the parts below: collect with the teacher, train, judge, switch. It prints nothing."""

from __future__ import annotations

import json
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aegis import __version__
from aegis.agent import RESEARCH_ACTIONS, Agent, DrawnPresence, Step
from aegis.agent.search import OfflineSearch
from aegis.config import (
    FULL_TRAINING_DECISIONS,
    MIN_TRAINING_DECISIONS,
    AgentConfig,
    GateConfig,
    TrainingConfig,
)
from aegis.errors import CheckpointError, NotEnoughDataError, StoreError, TeacherError, TeacherMismatchError
from aegis.hrm import HRM, Example, HRMPolicy, load_policy
from aegis.promotion import (
    Agreement,
    ModelRegistry,
    Serving,
    Verdict,
    judge,
    logistic_regression_accuracy,
    measure_agreement,
    ridge_accuracy,
)
from aegis.rendering import render_state
from aegis.store import Database, DecisionStore, RejectedRecord, TeacherClaim, read_examples
from aegis.teachers import load_teacher, loadable_name
from aegis.teachers.prompt import QUESTION, render_instructions
from aegis.training import EpochResult, ImitationTrainer, Thinking, TrainingRun, measure_thinking, split_by_episode
from aegis.types import ActionList, Decision, Policy, State, Teacher, new_id, utc_now
from aegis.workspace import Workspace

_COLLECTION_PREFIX = "collection:"
SHIPPED_DATA_NAME = "decisions.jsonl.gz"
_CHECKED_STATES = 8
_LARGEST_DIFFERENCE = 1e-4


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Decisions to learn from, with whose they are."""

    source: str
    decisions: list[Decision]
    rejected: list[RejectedRecord]
    teacher: TeacherClaim
    actions: ActionList = RESEARCH_ACTIONS


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What the decisions look like before they are trained on."""

    count: int
    actions: dict[str, int]
    duplicates: int
    """Decisions whose state and action occur before in the data"""
    without_probabilities: int
    episodes: int

    @property
    def enough(self) -> bool:
        return self.count >= MIN_TRAINING_DECISIONS

    @property
    def full(self) -> bool:
        return self.count >= FULL_TRAINING_DECISIONS


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """What phases 2 and 3 came to."""

    run: TrainingRun
    agreement: Agreement
    thinking: Thinking
    """On the held-out decisions"""
    baseline_logreg: float
    baseline_ridge: float
    verdict: Verdict
    serving: Serving | None
    """The HRM that decides from now on, when the gate let it"""
    examples: int
    train_examples: int
    dropped: int
    device: str
    seconds: float
    """Of training, in this process"""
    peak_rss_mb: float

    def to_report(self) -> dict[str, Any]:
        """Return the report's JSON object."""
        return {
            "parameters": self.run.policy.parameters,
            "examples": self.examples,
            "train_examples": self.train_examples,
            "device": self.device,
            "seconds": round(self.seconds, 3),
            "peak_rss_mb": round(self.peak_rss_mb, 1),
            "resumed_after": self.run.resumed_after,
            "epochs": [asdict(result) for result in self.run.epochs],
            "heldout": {
                "n": self.agreement.n,
                "accuracy": self.agreement.accuracy,
                "ci95": list(self.agreement.interval),
                "majority": self.agreement.majority,
                "baseline_logreg": self.baseline_logreg,
                "baseline_ridge": self.baseline_ridge,
                "per_action": {name: asdict(metrics) for name, metrics in self.agreement.per_action.items()},
                "dropped": self.dropped,
            },
            "thinking": asdict(self.thinking),
            "verdict": {"switched": self.serving is not None, "reasons": list(self.verdict.reasons)},
            "checkpoints": [str(path) for path in self.run.checkpoints],
        }


@contextmanager
def open_store(workspace: Workspace) -> Iterator[DecisionStore]:
    """Open a workspace's store for as long as the block runs."""
    with Database(workspace.database) as database:
        yield DecisionStore(database)


def read_training_data(path: Path) -> TrainingData:
    """Read decisions from a JSON or JSONL file; raises `DataError` when the file as a whole can't be read."""
    result = read_examples(path, RESEARCH_ACTIONS)
    teacher = result.metadata.get("teacher")
    fields = teacher if isinstance(teacher, dict) else {"name": teacher}
    parameters = fields.get("parameters")
    claim = TeacherClaim(
        name=str(fields.get("name") or _commonest_policy([example.decision for example in result.examples])),
        parameters=parameters if isinstance(parameters, int) else 0,
        source=str(fields.get("source") or path),
    )
    return TrainingData(str(path), [example.decision for example in result.examples], result.rejected, claim)


def read_workspace_data(workspace: Workspace) -> TrainingData:
    """Read the decisions that a workspace's teacher made; raises `NotEnoughDataError` when there is no teacher yet."""
    nothing_yet = NotEnoughDataError(
        f"{workspace.folder}: no decisions yet: run `aegis collect --workspace {workspace.folder}` first,"
        " or name a file with --data"
    )
    if not workspace.database.exists():
        raise nothing_yet
    with open_store(workspace) as store:
        teacher = store.teacher()
        if teacher is None:
            raise nothing_yet
        return TrainingData(str(workspace.folder), list(store.decisions([teacher.name])), [], teacher)


def shipped_data() -> Path:
    """Return the file of the decisions that AEGIS ships: in the checkout, or in the installed package."""
    packaged = Path(__file__).parent / "data" / SHIPPED_DATA_NAME
    return packaged if packaged.exists() else Path(__file__).parent.parent / "data" / SHIPPED_DATA_NAME


def check_data(decisions: Sequence[Decision]) -> DataCheck:
    """Count what matters for training."""
    texts = Counter((render_state(decision.state), decision.action.name) for decision in decisions)
    return DataCheck(
        count=len(decisions),
        actions={name: sum(d.action.name == name for d in decisions) for name in RESEARCH_ACTIONS.names},
        duplicates=sum(texts.values()) - len(texts),
        without_probabilities=sum(decision.probabilities is None for decision in decisions),
        episodes=len({decision.episode for decision in decisions}),
    )


def train_and_judge(
    data: TrainingData,
    workspace: Workspace,
    training: TrainingConfig,
    gate: GateConfig,
    device: str = "cpu",
    resume: bool = False,
    on_start: Callable[[HRM, int], None] = lambda model, epochs_done: None,
    on_batch: Callable[[int, int, int], None] = lambda epoch, batch, batches: None,
    on_epoch: Callable[[EpochResult], None] = lambda result: None,
) -> TrainingOutcome:
    """Phases 2 and 3: train on the data, judge on its held-out part, and let the HRM serve when it passes the gate.

    Raises `NotEnoughDataError` below 100 decisions, `TeacherMismatchError` when the workspace is another teacher's.
    """
    if len(data.decisions) < MIN_TRAINING_DECISIONS:
        raise NotEnoughDataError(
            f"{data.source}: {len(data.decisions)} usable decisions; training needs at least {MIN_TRAINING_DECISIONS}:"
            f" run `aegis collect --decisions {MIN_TRAINING_DECISIONS - len(data.decisions)}` or more"
        )
    with open_store(workspace) as store:
        owner = store.teacher()
        if owner is not None and owner.name != data.teacher.name:
            raise TeacherMismatchError(
                f"{workspace.folder} belongs to the teacher {owner.name}; these decisions are {data.teacher.name}'s:"
                " use another --workspace"
            )
        split = split_by_episode(data.decisions, training.heldout_share, training.seed)
        started = time.perf_counter()
        trainer = ImitationTrainer(
            data.actions, training, device=device, on_start=on_start, on_batch=on_batch, on_epoch=on_epoch
        )
        run = trainer.train(split.train, split.heldout, workspace.checkpoints, resume)
        seconds = time.perf_counter() - started
        picked = _choices(run.policy, split.heldout, data.actions)
        agreement = measure_agreement(
            picked, _labels(split.heldout), _labels(split.train), data.actions.names, gate.confidence
        )
        verdict = judge(agreement, gate)
        serving = None
        if verdict.passed:
            store.claim_teacher(data.teacher.name, data.teacher.parameters, data.teacher.source)
            sample = [decision.state for decision in split.heldout[:_CHECKED_STATES]]
            serving = ModelRegistry(store, workspace).promote(_checked_save(run.policy, sample))
        return TrainingOutcome(
            run=run,
            agreement=agreement,
            thinking=measure_thinking(run.policy, split.heldout),
            baseline_logreg=logistic_regression_accuracy(split.train, split.heldout),
            baseline_ridge=ridge_accuracy(split.train, split.heldout),
            verdict=verdict,
            serving=serving,
            examples=len(data.decisions),
            train_examples=len(split.train),
            dropped=split.dropped,
            device=device,
            seconds=seconds,
            peak_rss_mb=peak_rss_mb(),
        )


def run_agent(
    store: DecisionStore,
    policy: Policy,
    decisions: int,
    seed: int | None = None,
    config: AgentConfig | None = None,
    vary_presence: bool = False,
    progress: Callable[[str], None] | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> None:
    """Let the agent make a number of decisions with a policy, in episodes of its own.

    vary_presence: tell the policy that a person is here in half of the decisions (nobody is made up who answers);
    otherwise a person counts as here while they use the inbox. progress hears of the search index's making.
    """
    rng = random.Random(seed)
    search = OfflineSearch(progress=progress)
    topics = [topic for topic, passages in search.topics() if passages >= 3]
    presence = (lambda inbox: DrawnPresence(rng)) if vary_presence else None
    agent = Agent(store, policy, search, topics, rng, config, presence=presence)
    for _ in range(decisions):
        on_step(agent.step())


def existing(workspace: Workspace) -> Workspace:
    """Return the workspace if it has a database; raises `StoreError` where there is none."""
    if not workspace.database.exists():
        raise StoreError(
            f"{workspace.folder}: no workspace here: run `aegis collect --workspace {workspace.folder}` first"
        )
    return workspace


def find_serving(store: DecisionStore, workspace: Workspace) -> Serving | None:
    """Return the trained policy that serves in a workspace, or None while its teacher does."""
    return ModelRegistry(store, workspace).serving()


def load_serving(
    store: DecisionStore,
    workspace: Workspace,
    device: str = "cpu",
    backend: str = "auto",
    say: Callable[[str], None] = lambda line: None,
) -> Policy | None:
    """Load the trained policy that serves in a workspace, or None while its teacher does; backend: `load_policy`'s."""
    serving = find_serving(store, workspace)
    if serving is None:
        return None
    return load_policy(serving.folder, device, backend, lambda: heldout_examples(store), say)


def heldout_examples(store: DecisionStore) -> list[Example]:
    """Return the held-out part of the teacher's decisions, or of those shipped where there are too few of its own."""
    teacher = store.teacher()
    decisions = list(store.decisions([teacher.name])) if teacher else []
    if len(decisions) < MIN_TRAINING_DECISIONS:
        decisions = read_training_data(shipped_data()).decisions
    training = TrainingConfig()
    heldout = split_by_episode(decisions, training.heldout_share, training.seed).heldout
    return [(decision.state, decision.action.name) for decision in heldout]


def note_collection(store: DecisionStore, settings: dict[str, Any]) -> None:
    """Keep how a run of collecting was set, so that a data card can say it."""
    document = settings | {"aegis": __version__, "python": platform.python_version(), "at": utc_now().isoformat()}
    store.set_meta(f"{_COLLECTION_PREFIX}{new_id()}", json.dumps(document))


def describe_collection(store: DecisionStore) -> dict[str, Any]:
    """Return what an export says of its decisions: teacher, prompt, runs, episodes and action shares."""
    teacher = store.teacher()
    rows = store.database.query("SELECT value FROM meta WHERE key LIKE ?", (f"{_COLLECTION_PREFIX}%",))
    runs = sorted((json.loads(row["value"]) for row in rows), key=lambda run: str(run["at"]))
    counts = store.action_counts(teacher.name if teacher else None)
    return {
        "teacher": asdict(teacher) if teacher else None,
        "actions": [asdict(spec) for spec in RESEARCH_ACTIONS],
        "prompt": render_instructions(RESEARCH_ACTIONS) + "{state}" + QUESTION,
        "runs": runs,
        "action_counts": counts,
    }


def load_teacher_for(
    store: DecisionStore, name: str, device: str = "cpu", say: Callable[[str], None] = lambda line: None
) -> Teacher:
    """Load the teacher named and make the workspace its own; `auto` is the workspace's own, where it has one.

    Raises `TeacherError` when it can't be loaded, `TeacherMismatchError` when the workspace is another's.
    """
    claim = store.teacher()
    if name == "auto" and claim is not None:
        name = loadable_name(claim.name, claim.source)
        say(f"Teacher: {claim.name} (this workspace's own)")
        try:
            teacher = load_teacher(name, device, say=say)
        except TeacherError as error:
            raise TeacherError(
                f"this workspace's decisions are {claim.name}'s, from {claim.source}, which can't decide here: train on"
                f" them (`aegis train`), or let another teacher decide in another --workspace ({error})"
            ) from error
    else:
        teacher = load_teacher(name, device, say=say)
    claim_for(store, teacher)
    return teacher


def claim_for(store: DecisionStore, teacher: Teacher) -> None:
    """Make the workspace this teacher's; raises `TeacherMismatchError` when it is another's."""
    store.claim_teacher(teacher.name, teacher.parameters, teacher.source)


def peak_rss_mb() -> float:
    """Return the most memory this process has held so far, in MB (10^6 bytes)."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset / 1e6)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _choices(policy: Policy, decisions: Sequence[Decision], actions: ActionList) -> list[int]:
    answers = policy.probabilities([decision.state for decision in decisions], actions)
    return [max(range(len(actions)), key=answer.__getitem__) for answer in answers]


def _checked_save(policy: HRMPolicy, states: Sequence[State]) -> Callable[[str, Path], None]:
    """Return what saves the policy and makes sure that what was saved decides as what was judged."""

    def save(name: str, folder: Path) -> None:
        policy.save_as(name, folder)
        saved = HRMPolicy.load(folder, policy.device).probabilities(states, policy.actions)
        judged = policy.probabilities(states, policy.actions)
        difference = max(
            abs(a - b) for one, other in zip(saved, judged, strict=True) for a, b in zip(one, other, strict=True)
        )
        if difference > _LARGEST_DIFFERENCE:
            raise CheckpointError(f"{folder}: what was written decides otherwise than what was judged: train again")

    return save


def _labels(decisions: Sequence[Decision]) -> list[int]:
    return [decision.actions.index(decision.action.name) for decision in decisions]


def _commonest_policy(decisions: Sequence[Decision]) -> str:
    policies = Counter(decision.policy for decision in decisions)
    return policies.most_common(1)[0][0] if policies else "unknown"
