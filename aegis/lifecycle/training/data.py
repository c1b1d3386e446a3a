"""Decisions to learn from, out of files or a workspace, and whether they are fit for training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aegis.config import FULL_TRAINING_DECISIONS, MIN_TRAINING_DECISIONS, TrainingConfig
from aegis.errors import NotEnoughDataError
from aegis.lifecycle.opening import open_store
from aegis.lifecycle.point import read_point
from aegis.rendering import counted, render_state
from aegis.store import (
    DecisionStore,
    ExchangeResult,
    LabelBook,
    RecordedDecisions,
    RejectedRecord,
    TeacherClaim,
    read_examples,
)
from aegis.types import ActionList, Decision, Progress, unheard
from aegis.workspace import Workspace

if TYPE_CHECKING:
    from aegis.hrm import ReadingReport
    from aegis.training import Dataset, RowSplit, Split

_TOLD_DECISIONS = 500
_LOOKED_AT = 1000
"""Newest states in which the fields of `exclude` and `rename` are looked for before a training beside the agent"""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Decisions to learn from, and the teacher who made them."""

    source: str
    decisions: Sequence[Decision]
    rejected: list[RejectedRecord]
    teacher: TeacherClaim
    actions: ActionList
    own: bool = False
    """Whether they are a workspace's own, recorded as they were made"""
    newest: int | None = None
    """Of a workspace's own, the sequence number of the newest decision that could be among them"""
    chosen_episodes: frozenset[str] = frozenset()
    """Episodes in which the teacher decided or labelled only a part: learned from, and no measure of accuracy"""
    labelled: int = 0
    """Of the decisions, how many others made and the teacher labelled"""
    shipped: bool = False
    """Whether they are those that AEGIS ships"""
    why: str = ""
    """Why these decisions were chosen, where that is not obvious"""

    def describe(self) -> str:
        """Return the number of decisions and their source, e.g. `1,100 shipped with AEGIS`."""
        whose = f"of {self.source}/" if self.own else "shipped with AEGIS" if self.shipped else f"of {self.source}"
        return f"{len(self.decisions):,} {whose}" + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What the decisions look like before they are trained on."""

    count: int
    actions: dict[str, int]
    duplicates: int
    """Decisions whose state and action already occurred earlier in the data"""
    without_probabilities: int
    episodes: int
    reading: ReadingReport
    """What is cut and left out of the states"""

    @property
    def enough(self) -> bool:
        return self.count >= MIN_TRAINING_DECISIONS

    @property
    def full(self) -> bool:
        return self.count >= FULL_TRAINING_DECISIONS


def check_enough(data: TrainingData, least: int = MIN_TRAINING_DECISIONS, what: str = "training") -> None:
    """Raise `NotEnoughDataError` where there are fewer decisions than something needs at least."""
    missing = least - len(data.decisions)
    if missing > 0:
        raise NotEnoughDataError(
            f"{data.source}: {len(data.decisions)} usable decisions; {what} needs at least {least}, so {missing}"
            f" more: {describe_more_of(data, missing)}"
        )


def describe_more_of(data: TrainingData, missing: int) -> str:
    """Return how to get so many more decisions than these, by where they are from."""
    if data.own:
        return describe_more(Workspace(Path(data.source)))
    if data.rejected:
        return (
            f"{counted(len(data.rejected), 'record')} refused: examples of your own and other programs' logs become a"
            f" decision point first: `aegis import {data.source} --point NAME`, then `aegis train --point NAME`"
        )
    return f"`aegis collect --decisions {missing}`"


def describe_more(workspace: Workspace) -> str:
    """Return how a workspace or a decision point gets more decisions."""
    if workspace.point_name is not None:
        return f"let its `aegis.Decider` decide, or add some with `aegis import FILE{workspace.options}`"
    return "collect more with `aegis collect`"


def read_training_data(path: Path, actions: ActionList, progress: Progress = unheard) -> TrainingData:
    """Read decisions among these actions from a JSON or JSONL file.

    Raises `DataError` when the file as a whole can't be read.
    """
    result = read_examples(path, actions, progress)
    decisions = [example.decision for example in result.examples]
    return TrainingData(str(path), decisions, result.rejected, name_teacher(result, path), actions)


def name_teacher(result: ExchangeResult, path: Path) -> TeacherClaim:
    """Return the teacher of a file's decisions: as its metadata names it, else the policy of most decisions."""
    teacher = result.metadata.get("teacher")
    fields = teacher if isinstance(teacher, dict) else {"name": teacher}
    parameters = fields.get("parameters")
    return TeacherClaim(
        name=str(fields.get("name") or _commonest_policy([example.decision for example in result.examples])),
        parameters=parameters if isinstance(parameters, int) else 0,
        source=str(fields.get("source") or path),
    )


def read_workspace_data(
    workspace: Workspace, until: int | None = None, until_label: int | None = None, default: ActionList | None = None
) -> TrainingData:
    """Read the decisions that a workspace's teacher made or labelled; raises `NotEnoughDataError` before there is one.

    until, until_label: the places of the last ones read (`DecisionStore.newest`, `LabelBook.newest`); all by default.
    default: as for `read_actions`.
    """
    first = (
        f"run `aegis collect --workspace {workspace.folder}` first, or name a file with --data"
        if workspace.point_name is None
        else describe_more(workspace)
    )
    nothing_yet = NotEnoughDataError(f"{workspace.folder}: no decisions yet: {first}")
    if not workspace.database.exists():
        raise nothing_yet
    with open_store(workspace) as store:
        teacher = store.teacher()
        if teacher is None:
            raise nothing_yet
        point = read_point(store, default)
        # These episodes were chosen by an HRM's doubts or the monitor's suspicion: they must not measure accuracy.
        chosen = store.episodes_beside(teacher.name) | store.episodes_between(teacher.name)
        chosen |= LabelBook(store.database).episodes(teacher.name)
        until = store.newest() if until is None else until
    retired = [spec.name for spec in point.retired]
    decisions = RecordedDecisions(workspace.database, teacher.name, until, until_label, retired)
    return TrainingData(
        source=str(workspace.folder),
        decisions=decisions,
        rejected=[],
        teacher=teacher,
        actions=point.actions,
        own=True,
        newest=until,
        chosen_episodes=chosen,
        labelled=decisions.labelled,
    )


def holds_newest(data: TrainingData, training: TrainingConfig) -> bool:
    """Return whether the newest episodes are held out, as the configuration says, and not some drawn by the seed."""
    return training.split == "newest" or (training.split == "auto" and data.own)


def split_data(data: TrainingData, training: TrainingConfig) -> Split:
    """Split decisions into those to train on and those to judge by, as the configuration says."""
    from aegis.training import split_by_episode, split_by_time

    if holds_newest(data, training):
        return split_by_time(data.decisions, training.heldout_share, data.chosen_episodes)
    return split_by_episode(data.decisions, training.heldout_share, training.seed)


def split_dataset(data: TrainingData, dataset: Dataset, training: TrainingConfig) -> RowSplit:
    """Split the rows of these decisions' dataset exactly as `split_data` splits the decisions."""
    from aegis.training import split_rows, split_rows_by_time

    if holds_newest(data, training):
        return split_rows_by_time(dataset, training.heldout_share, data.chosen_episodes)
    return split_rows(dataset, training.heldout_share, training.seed)


def check_data(data: TrainingData, progress: Progress = unheard, training: TrainingConfig | None = None) -> DataCheck:
    """Count what matters for training; progress hears how many decisions are counted.

    training: how states are read. Raises `ConfigError` for a path that is no field path.
    """
    from aegis.hrm import ReadingCount, StateCodec  # the tokeniser with it

    codec, decisions = StateCodec.from_config(training or TrainingConfig()), data.decisions
    reading = ReadingCount(codec)
    texts: set[tuple[str, str]] = set()
    actions: Counter[str] = Counter()
    without, episodes, decisions = 0, set(), data.decisions
    for done, decision in enumerate(decisions):  # once: those of a workspace are read from its database each time
        if done % _TOLD_DECISIONS == 0:
            progress("Looking through the decisions", done, len(decisions))
        reading.add(codec.read(decision.state))
        texts.add((render_state(codec.select(decision.state)), decision.action.name))
        actions[decision.action.name] += 1
        without += decision.probabilities is None
        episodes.add(decision.episode)
    return DataCheck(
        count=len(decisions),
        actions={name: actions[name] for name in data.actions.names},
        duplicates=len(decisions) - len(texts),
        without_probabilities=without,
        episodes=len(episodes),
        reading=reading.report(),
    )


def find_missing_fields(store: DecisionStore, training: TrainingConfig) -> list[str]:
    """Return a sentence for each field to leave out or rename that none of the newest states has."""
    from aegis.hrm.reading.count import describe_missing
    from aegis.hrm.reading.fields import leave_out

    wanted = [("exclude", path) for path in training.exclude] + [("rename", path) for path in training.rename]
    states = [one.decision.state for one in store.recent(_LOOKED_AT)] if wanted else []
    return [
        describe_missing(option, path, len(states))
        for option, path in wanted
        if states and not any(leave_out(state, path)[1] for state in states)
    ]


def _commonest_policy(decisions: Sequence[Decision]) -> str:
    policies = Counter(decision.policy for decision in decisions)
    return policies.most_common(1)[0][0] if policies else "unknown"
