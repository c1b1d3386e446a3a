"""The words every other room uses: State, Action, Choice, Decision, Outcome, and the Policy and Teacher protocols.

Plain data and contracts: no files, no state, no torch.
"""

from __future__ import annotations

import math
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from aegis.errors import ConfigError, DataError
from aegis.workspace import is_version, version_kind

State = Mapping[str, Any]
"""What the agent knows before it decides: a JSON object."""

Progress = Callable[[str, int, int], None]
"""Is called with what takes time, how much of it is done, and of how much (0 if unknown). '' means that it is over."""


def unheard(what: str, done: int, total: int) -> None:
    """Ignore progress: the `Progress` for a caller that shows none."""


OutcomeStatus = Literal["ok", "failed", "unknown"]
OUTCOME_STATUSES: tuple[OutcomeStatus, ...] = ("ok", "failed", "unknown")

PolicyKind = Literal["teacher", "hrm", "other"]
"""What made a choice: `teacher`; `hrm`, a trained version, whatever its kind (`Choice.version_kind`); or `other`.

`hrm` names the place at which a trained version decides. A logistic regression that passed the gate decides there, too,
so a program that asks whether a trained version decided goes on to work."""


Deferral = Literal["", "unsure", "unlike", "unsure and unlike"]
"""Why a teacher decided in place of an HRM: the HRM was not confident enough, its training knew no such state; '' where
no HRM handed the state over."""


def utc_now() -> datetime:
    """Return the present time, with its zone."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return a fresh identifier: 32 hexadecimal digits, unique without coordination."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """An action that an agent may take, as its policies see it."""

    name: str
    """Identifier in records, e.g. `web_search`."""
    words: str
    """The words by which a language model chooses it, e.g. `search`. No leading space."""
    description: str
    """A line for a prompt: what it does and when it is the right thing to do."""
    argument: str | None = None
    """Name of its only argument in records (`query`, `question`, `aspect`), or None."""

    def __post_init__(self) -> None:
        if not self.name or not self.name.replace("_", "").replace("-", "").isalnum():
            raise ConfigError(f"action name {self.name!r}: use letters, digits, '_' and '-' only")
        if not self.words.strip() or self.words != self.words.strip():
            raise ConfigError(f"action {self.name!r}: words {self.words!r} must be a phrase without outer spaces")


@dataclass(frozen=True, slots=True)
class ActionList:
    """An ordered list of actions; probabilities always stand in this order.

    A policy that is asked about a shorter list decides among those alone. Raises `ConfigError` for an empty list, and
    for a name or words given twice.
    """

    specs: tuple[ActionSpec, ...]
    names: tuple[str, ...] = field(init=False, compare=False, repr=False)
    _places: Mapping[str, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(spec.name for spec in self.specs))
        object.__setattr__(self, "_places", {name: place for place, name in enumerate(self.names)})
        if not self.specs:
            raise ConfigError("an action list needs at least one action")
        for kind, values in (("name", self.names), ("words", tuple(s.words for s in self.specs))):
            if len(set(values)) < len(values):
                twice = sorted(value for value, count in Counter(values).items() if count > 1)
                raise ConfigError(f"action {kind} given twice: {list_names(twice)}")

    def index(self, name: str) -> int:
        """Return the action's place in the list; raises `DataError` for an action that is not in it."""
        try:
            return self._places[name]
        except (KeyError, TypeError):
            raise DataError(f"unknown action {name!r}: the list is {list_names(self.names)}") from None

    def only(self, names: Sequence[str]) -> ActionList:
        """Return the list of these actions alone, in this list's order.

        Raises `DataError` for no names, a name given twice, or one that is not in this list.
        """
        if tuple(names) == self.names:
            return self
        places = sorted(self.index(name) for name in names)
        if not places:
            raise DataError(f"no action is on offer: give at least one of {list_names(self.names)}")
        if len(set(places)) < len(places):
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            raise DataError(f"on offer twice: {list_names(twice)}")
        return ActionList(tuple(self.specs[place] for place in places))

    def mask(self, names: Sequence[str]) -> list[bool]:
        """Return for each action of the list whether it is among these; raises `DataError` for none or an unknown."""
        if not names:
            raise DataError(f"no action is on offer: give at least one of {list_names(self.names)}")
        row = [False] * len(self)
        for name in names:
            row[self.index(name)] = True
        return row

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> ActionSpec:
        return self.specs[self.index(name)]

    def __len__(self) -> int:
        return len(self.specs)

    def __iter__(self) -> Iterator[ActionSpec]:
        return iter(self.specs)


def list_names(names: Sequence[str], most: int = 12) -> str:
    """Return names in one line; of many, the first and how many more there are."""
    shown = ", ".join(map(str, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


@dataclass(frozen=True, slots=True)
class Action:
    """A chosen action with its argument, e.g. `Action("web_search", {"query": "what is WAL mode"})`."""

    name: str
    argument: Mapping[str, str] = field(default_factory=dict)

    def to_record(self) -> dict[str, str]:
        """Return the action as files hold it: `{"action": "web_search", "query": "..."}`."""
        return {"action": self.name, **self.argument}


def most_probable(probabilities: Sequence[float]) -> int:
    """Return the place of the greatest probability; of several equal ones, the first."""
    return max(range(len(probabilities)), key=probabilities.__getitem__)


class DrawnTurn(NamedTuple):
    """A stretch of decisions whose decider was drawn, while phase 4 compares an HRM with its reference."""

    series: int
    """Whose draws: a random number for each process and reference"""
    stretch: int
    """Its number among these, from 0"""


@dataclass(frozen=True, slots=True)
class Choice:
    """A policy's answer to a state. `best` and `draw` make it from probabilities.

    Raises `DataError` for a propensity that is not above 0 and at most 1.
    """

    probabilities: tuple[float, ...]
    """A probability per action of the list that was asked about, in its order, sum 1."""
    action: str
    """Name of the action taken."""
    policy: str
    """Name of the policy that made the choice, e.g. `gemma-3-270m` or `hrm@1`."""
    kind: PolicyKind = "other"
    """What that policy is; for a trained version `version_kind` says more."""
    propensity: float | None = None
    """The probability with which the action was drawn; None if it was not drawn."""
    out_of_distribution: bool | None = None
    """Whether the state is unlike the HRM's training states; None if unknown."""
    deferred: Deferral = ""
    """Why an HRM handed the state to the policy that made this choice."""
    turn: DrawnTurn | None = None
    """The drawn stretch that it belongs to; None where no draw said which version decides."""

    def __post_init__(self) -> None:
        check_propensity(self.propensity)

    @property
    def version_kind(self) -> str:
        """The kind of the trained version that made the choice: `hrm`, `linear` or `mixed`; '' where none did."""
        return version_kind(self.policy) if self.kind == "hrm" and is_version(self.policy) else ""

    @property
    def drawn(self) -> bool:
        """Whether the action was drawn at random, not taken as the most probable."""
        return self.propensity is not None

    @classmethod
    def best(
        cls, probabilities: Sequence[float], actions: ActionList, policy: str, kind: PolicyKind = "other"
    ) -> Choice:
        """Return the choice of the most probable action; of several equal ones, the first."""
        return cls(tuple(probabilities), actions.names[most_probable(probabilities)], policy, kind)

    @classmethod
    def certain(cls, action: str, actions: ActionList, policy: str, kind: PolicyKind = "other") -> Choice:
        """Return the choice of an action with the probability 1; raises `DataError` for an action not in the list."""
        place = actions.index(action)
        return cls(tuple(float(other == place) for other in range(len(actions))), action, policy, kind)

    @classmethod
    def draw(
        cls,
        probabilities: Sequence[float],
        actions: ActionList,
        policy: str,
        kind: PolicyKind,
        rng: random.Random,
    ) -> Choice:
        """Return the choice of an action drawn by the probabilities."""
        place = rng.choices(range(len(probabilities)), probabilities)[0]
        return cls(tuple(probabilities), actions.names[place], policy, kind, propensity=probabilities[place])


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision, recorded before its action is carried out.

    Raises `DataError` when the action is not on offer, when the probabilities are not one per action, finite,
    non-negative and of sum 1, or when the propensity is not above 0 and at most 1.
    """

    episode: str
    """The run of consecutive decisions that it belongs to; train and held-out never share an episode."""
    step: int
    """Place within the episode, from 0."""
    state: State
    actions: tuple[str, ...]
    """Names on offer, in order."""
    action: Action
    probabilities: tuple[float, ...] | None
    """A probability per action on offer, sum 1; None if the policy's probabilities were not recorded."""
    policy: str
    """Name of the policy that chose, e.g. `gemma-3-270m` or `hrm@1`."""
    id: str = field(default_factory=new_id)
    decided_at: datetime = field(default_factory=utc_now)
    propensity: float | None = None
    """The probability with which the action was drawn; None if it was not drawn, or if that was not recorded."""

    def __post_init__(self) -> None:
        if self.action.name not in self.actions:
            raise DataError(f"unknown action {self.action.name!r}: on offer are {list_names(self.actions)}")
        if self.probabilities is not None:
            check_probabilities(self.probabilities, len(self.actions))
        check_propensity(self.propensity)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a decision. `unknown` is never rounded to `ok`, and brings no reward."""

    decision_id: str
    status: OutcomeStatus
    gained: int = 0
    """New knowledge items."""
    reward: float | None = None
    """None while nothing is known."""
    detail: str = ""
    """A line for a person: what happened."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """What the action returned, as JSON."""
    recorded_at: datetime = field(default_factory=utc_now)
    components: Mapping[str, float] = field(default_factory=dict)
    """The parts of the reward, by kind; they sum to the reward. Empty if they were not recorded."""

    def __post_init__(self) -> None:
        if self.status not in OUTCOME_STATUSES:
            raise DataError(f"outcome status {self.status!r}: must be one of {', '.join(OUTCOME_STATUSES)}")
        if self.status == "unknown" and self.reward is not None:
            raise DataError("an unknown outcome brings no reward: leave it None")
        if self.reward is not None and not math.isfinite(self.reward):
            raise DataError(f"reward {self.reward!r} is not a finite number")
        if self.components:
            self._check_components()

    def _check_components(self) -> None:
        if self.reward is None:
            raise DataError("components of a reward that is None: leave them out")
        for name, value in self.components.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not isinstance(name, str) or not number or not math.isfinite(value):
                raise DataError(f"reward component {name!r}: {value!r} is not a finite number")
        whole = math.fsum(self.components.values())
        if not math.isclose(whole, self.reward, rel_tol=1e-9, abs_tol=1e-9):
            raise DataError(f"the reward's components sum to {whole:g}, not to {self.reward:g}")


def check_probabilities(probabilities: Sequence[float], count: int, tolerance: float = 1e-3) -> None:
    """Raise `DataError` unless these are `count` finite, non-negative numbers whose sum is 1 within `tolerance`."""
    if len(probabilities) != count:
        raise DataError(f"{len(probabilities)} probabilities for {count} actions")
    if not all(isinstance(p, (int, float)) and math.isfinite(p) and p >= 0 for p in probabilities):
        raise DataError(f"probabilities {list(probabilities)!r} must be finite and not negative")
    if abs(sum(probabilities) - 1) > tolerance:
        raise DataError(f"probabilities sum to {sum(probabilities):.4f}, not 1")


def check_propensity(propensity: float | None) -> None:
    """Raise `DataError` unless this is None or a probability above 0 and at most 1."""
    if propensity is None:
        return
    number = isinstance(propensity, (int, float)) and not isinstance(propensity, bool)
    if not number or not 0 < propensity <= 1:
        raise DataError(f"propensity {propensity!r} must be above 0 and at most 1, or null where nothing was drawn")


@runtime_checkable
class Policy(Protocol):
    """Anything that chooses: a teacher, the HRM, a rule, or several policies behind one name."""

    @property
    def name(self) -> str:
        """The policy's name. A choice names the policy that made it, which may stand behind this one."""
        ...

    @property
    def parameters(self) -> int:
        """Number of parameters; 0 if unknown."""
        ...

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return a choice per state, each with a probability per action in the list's order.

        actions: those on offer for these states; a policy must answer any part of the actions that it knows.
        """
        ...


@runtime_checkable
class Teacher(Policy, Protocol):
    """A policy worth imitating, usually a language model; it names its source."""

    @property
    def source(self) -> str:
        """Where the teacher was loaded from: a hub id, a folder, a file or a package."""
        ...
