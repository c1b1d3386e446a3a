"""What an agent by itself is to do, and whom it calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aegis.config import AgentConfig, MonitorConfig, ReinforceConfig, RunConfig
from aegis.config.plan import TrainingPlan
from aegis.lifecycle.event import RunEvent
from aegis.research.search import SearchChain, create_search
from aegis.store import DecisionStore
from aegis.types import Progress, Teacher, unheard

LoadTeacher = Callable[[DecisionStore], Teacher]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """How an agent runs by itself: its pace, its trainings, its switch and its improvement."""

    run: RunConfig = field(default_factory=RunConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)
    training: TrainingPlan = field(default_factory=TrainingPlan)
    """Each training's, before what approved proposals change"""
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    reinforce: ReinforceConfig | None = None
    """How phase 4 learns; None: it does not"""
    device: str = "cpu"
    backend: str = "auto"
    """`load_policy`'s"""
    seed: int = 0
    explore: float = 0.0
    """Share of the HRM's decisions that take an action at random"""
    never_explored: Sequence[str] = ()
    """Names of actions that are not to be tried at random"""


@dataclass(frozen=True, slots=True)
class RunHooks:
    """The functions that an agent by itself calls: for what it needs, and to tell what goes on."""

    load_teacher: LoadTeacher
    """Loads the teacher for an open store, when the agent first needs it"""
    make_search: Callable[[], SearchChain] = create_search
    """Makes what one run searches; the run closes it at its end"""
    notify: Callable[[RunEvent], None] = lambda event: None
    """Hears every event, in the thread of `Runner.run`"""
    progress: Progress = unheard
    """Hears how far the first HRM is loaded, in the thread of `Runner.run`"""
