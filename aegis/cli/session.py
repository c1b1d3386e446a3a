"""An agent that runs by itself in a thread of a command: its options, its events, its end. It prints nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from aegis.bounds import read_json
from aegis.cli.admission import check_agent, check_exploring, check_keep, describe_new
from aegis.cli.world import EndpointOptions, load_teacher, make_search
from aegis.config import (
    AgentConfig,
    GateConfig,
    HRMConfig,
    MonitorConfig,
    ReinforceConfig,
    RolloutConfig,
    RunConfig,
    TrainingConfig,
)
from aegis.config.plan import TrainingPlan
from aegis.errors import ConfigError
from aegis.lifecycle.event import RunEvent
from aegis.lifecycle.training.worker import IMPROVER_COMMAND, TRAINER_COMMAND
from aegis.packages import require
from aegis.store import DecisionStore
from aegis.types import ActionList, Choice, Progress, State, Teacher, unheard
from aegis.workspace import Workspace

if TYPE_CHECKING:
    from aegis.lifecycle.policies.resolver import PolicyResolver
    from aegis.lifecycle.tensorboard import TensorBoardLog
    from aegis.research.run import Runner
    from aegis.research.search import SearchChain

LEAVE_SECONDS = 3.0
"""The process then ends, whatever the agent does: all that it has recorded is on the disk."""

Listener = Callable[[RunEvent], None]


@dataclass(frozen=True)
class SessionOptions:
    """How an agent runs by itself."""

    workspace: Workspace
    teacher: str = "auto"
    search: str = "offline"
    endpoint: EndpointOptions = field(default_factory=EndpointOptions)
    run: RunConfig = field(default_factory=RunConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    model: HRMConfig = field(default_factory=HRMConfig)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    reinforce: ReinforceConfig | None = field(default_factory=ReinforceConfig)
    device: str = "auto"
    backend: str = "auto"
    seed: int | None = None
    explore: float = 0.0
    never_explored: Sequence[str] = ()

    def check(self) -> None:
        """Raise an `AegisError` for options with which no agent can start, before anything is loaded or made."""
        if self.gate.agreement is not None and (self.rollout.shadow or self.rollout.canary):
            raise ConfigError(
                "--agreement: the certified part is taken over at once, and the stages judge an HRM that decides"
                " everything: leave out --shadow and --canary"
            )
        check_agent(self.workspace, self.teacher, self.endpoint, self.search, self.device, self.backend)
        check_exploring(self.explore, self.never_explored)
        if self.reinforce is not None:
            check_keep(self.reinforce.keep)


class SharedTeacher:
    """A teacher that the agent and the prompt share; it answers one at a time."""

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._teacher.name

    @property
    def parameters(self) -> int:
        return self._teacher.parameters

    @property
    def source(self) -> str:
        return self._teacher.source

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Ask the teacher once it is free."""
        with self._lock:
            return self._teacher.decide(states, actions)


class Session:
    """An agent in a thread of this process. After its end it can be started again."""

    def __init__(self, options: SessionOptions) -> None:
        self.options = options
        self.error: BaseException | None = None
        """The exception that ended the agent; None where it ended by itself"""
        self._listeners: list[Listener] = []
        self._progress: Progress = unheard
        self._going = True
        self._teacher: SharedTeacher | None = None
        self._teacher_lock = threading.Lock()
        self._runner: Runner | None = None
        self._leaving = False
        self._thread: threading.Thread | None = None
        self._board: TensorBoardLog | None = None

    @property
    def workspace(self) -> Workspace:
        return self.options.workspace

    @property
    def alive(self) -> bool:
        """Whether the agent's thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def paused(self) -> bool:
        return self.alive and not self._going

    def listen(self, listener: Listener) -> None:
        """Call a function with every event, in the agent's thread."""
        self._listeners.append(listener)

    @contextlib.contextmanager
    def shows(self, progress: Progress) -> Iterator[None]:
        """Show slow work by this function while the block runs, in place of the function before."""
        before, self._progress = self._progress, progress
        try:
            yield
        finally:
            self._progress = before

    def start(self) -> None:
        """Start the agent, or resume it after a pause. It loads what it needs in its own thread."""
        self._going = True
        if self.alive:
            if self._runner is not None:
                self._runner.resume()
            return
        require("torch", "an agent by itself, which trains beside its decisions,")
        if new := describe_new(self.workspace):
            self._tell(RunEvent("workspace", new, {"workspace": str(self.workspace.folder)}))
        self.error = self._runner = None
        self._leaving = False
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)
        self._thread.start()

    def _make_runner(self) -> Runner:
        options = self.options
        self._hear("Loading what an agent needs", 0, 0)
        from aegis.research.run import RunHooks, Runner, RunPlan

        plan = RunPlan(
            run=options.run,
            agent=options.agent,
            training=TrainingPlan(options.training, options.gate, options.model, options.rollout),
            monitor=options.monitor,
            reinforce=options.reinforce,
            device=self._device(),
            backend=options.backend,
            seed=random.SystemRandom().randrange(2**32) if options.seed is None else options.seed,
            explore=options.explore,
            never_explored=options.never_explored,
        )
        return Runner(
            options.workspace,
            plan,
            RunHooks(self.load_teacher, self.make_search, self._tell, self._hear),
            (*TRAINER_COMMAND, "--device", options.device),
            (*IMPROVER_COMMAND, "--device", options.device),
        )

    def pause(self) -> None:
        """Let the agent wait after its present decision."""
        self._going = False
        if self._runner is not None:
            self._runner.pause()

    def wait(self, seconds: float) -> None:
        """Wait for the agent's end, this long at most."""
        if self._thread is not None:
            self._thread.join(seconds)

    def stop(self, seconds: float = LEAVE_SECONDS) -> bool:
        """End the agent and its training; return whether it ended in time."""
        self._leaving = True
        if self._runner is not None:
            self._runner.stop()
        self.wait(seconds)
        return not self.alive

    def leave(self, code: int) -> NoReturn:
        """End the agent and then this process, with the exit code, even if a decision hangs.

        All that it has recorded is on the disk, so the process need not wait for a language model to end in good order.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it leaves already
        self.stop()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def load_teacher(self, store: DecisionStore) -> SharedTeacher:
        """Load the teacher, or return the one loaded before."""
        options = self.options
        with self._teacher_lock:
            if self._teacher is None:
                self._hear("Loading what a teacher needs", 0, 0)
                try:
                    device = self._device()
                    loaded = load_teacher(store, options.teacher, device, options.endpoint, self._say, self._hear)
                finally:
                    self._hear("", 0, 0)
                self._teacher = SharedTeacher(loaded)
            return self._teacher

    def make_resolver(self, tell: Callable[[str], None]) -> PolicyResolver:
        """Return the resolver of the policy that decides now. tell: is called with what a person should know.

        It may load in any thread.
        """
        from aegis.lifecycle import open_store
        from aegis.lifecycle.policies.resolver import PolicyResolver, ResolverOptions
        from aegis.research.run import shipped_heldout

        def load_teacher() -> SharedTeacher:
            with open_store(self.workspace) as store:  # in the thread that loads, a connection of its own
                return self.load_teacher(store)

        options = ResolverOptions(
            self._device(),
            self.options.backend,
            self.options.monitor.drift_quantile,
            otherwise=shipped_heldout,
            agreement=self.options.gate.agreement,
        )
        return PolicyResolver(self.workspace, load_teacher, options, tell=tell, say=self._say, loads=self._loading)

    @contextlib.contextmanager
    def _loading(self) -> Iterator[Progress]:
        try:
            yield self._hear
        finally:
            self._hear("", 0, 0)

    def make_search(self) -> SearchChain:
        """Make the search that the options name. Each thread needs its own."""
        return make_search(self.options.search, self.workspace, self._say, self._hear)

    def _run(self) -> None:
        try:
            runner = self._make_runner()
            from aegis.lifecycle.tensorboard import TensorBoardLog

            with TensorBoardLog(self.workspace.tensorboard) as board:
                self._board = board
                self._runner = runner
                # What was asked for while it was loaded.
                if not self._going:
                    runner.pause()
                if self._leaving:
                    runner.stop()
                self._hear("", 0, 0)
                runner.run()
        except BaseException as error:  # raised by the thread that waits for this one
            self.error = error
            self._board = None
            self._hear("", 0, 0)
            self._tell(RunEvent("broke", f"the agent ended: {error}", {"error": str(error)}))

    def _tell(self, event: RunEvent) -> None:
        if self._board is not None:
            self._board.add(event)
        for listener in self._listeners:
            listener(event)

    def _hear(self, what: str, done: int, total: int) -> None:
        self._progress(what, done, total)

    def _say(self, line: str) -> None:
        self._tell(RunEvent("waiting", line))

    def _device(self) -> str:
        from aegis.hrm import resolve_device

        return resolve_device(self.options.device)

    def raise_error(self) -> None:
        """Raise the exception that ended the agent, if there is one."""
        if self.error is not None:
            raise self.error


def read_model_config(path: Path | None) -> HRMConfig:
    """Return an HRM's shape, read from a JSON file; None: the standard shape. Raises `ConfigError` for a bad file."""
    if path is None:
        return HRMConfig()
    try:
        fields: Any = read_json(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--model {path}: can't be read as JSON ({error})") from error
    known = {one.name: one.type for one in dataclasses.fields(HRMConfig)}
    if not isinstance(fields, dict) or not fields.keys() <= known.keys():
        unknown = sorted(set(fields) - known.keys()) if isinstance(fields, dict) else "no object"
        raise ConfigError(f"--model {path}: unknown {unknown}; the fields are {', '.join(known)}")
    try:
        return HRMConfig(**fields)
    except TypeError as error:
        raise ConfigError(f"--model {path}: {error}") from error


def set_deciding_threads() -> None:
    """Let torch use one thread that does not spin, unless the environment says otherwise. Call before torch loads."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
