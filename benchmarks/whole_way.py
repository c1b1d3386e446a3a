"""The whole way of trust in a single run: `python -m benchmarks.whole_way [--folder FOLDER]`.

The autonomous agent, with a scripted teacher and a very small HRM, collects and trains in a child process. The
candidate goes through shadow and canary before it serves. Then the teacher's rule changes: a planted drop. The monitor
rolls the HRM back to the teacher, the agent collects more, and the next HRM is trained and goes the same way. `aegis
models` shows the record at the end.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aegis.config import AgentConfig, GateConfig, HRMConfig, MonitorConfig, RolloutConfig, RunConfig, TrainingConfig
from aegis.config.plan import TrainingPlan
from aegis.lifecycle import RunEvent, open_store
from aegis.lifecycle.training.worker import TRAINER_COMMAND
from aegis.promotion import ModelEvent, ModelRegistry
from aegis.research.run import RunHooks, Runner, RunPlan
from aegis.research.search import SearchChain, SearchHit
from aegis.store import DecisionStore
from aegis.testing import ScriptedTeacher, follow_options
from aegis.types import ActionList, Choice, State, Teacher
from aegis.workspace import Workspace

TINY = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2)
TOLD = ("training_started", "training_ended", "stage", "switched", "monitor")
_EPOCHS, _LEARNING_RATE = 6, 3e-3
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Settings:
    """The lengths of the stages, in decisions."""

    collect: int = 400
    more_share: float = 2.0
    """Enough further decisions that most of the data shows the changed rule"""
    shadow: int = 60
    canary: float = 0.2
    canary_decisions: int = 30
    serve: int = 200
    """The HRM's decisions before the teacher's rule changes"""
    cool_down: int = 200
    audit_rate: float = 0.1
    timeout_seconds: float = 600.0


class TurncoatTeacher(ScriptedTeacher):
    """Follows the usual rule; once it has `turned`, it asks where it searched and searches where it asked."""

    turned = False

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the rule's choices; if turned, with the probabilities of searching and asking exchanged."""
        choices = super().decide(states, actions)
        if not self.turned:
            return choices
        search, ask = actions.index("web_search"), actions.index("ask_human")
        rows = [_exchanged(choice.probabilities, search, ask) for choice in choices]
        return [Choice.best(row, actions, self.name, self.kind) for row in rows]


def _exchanged(answer: tuple[float, ...], one: int, other: int) -> tuple[float, ...]:
    values = list(answer)
    values[one], values[other] = values[other], values[one]
    return tuple(values)


class EndlessSearch:
    """Finds a new passage in a share of the searches, without an index; the other searches find nothing."""

    name = "endless"

    def __init__(self, finds: float = 0.4, seed: int = 0) -> None:
        self._count = 0
        self._finds = finds
        self._rng = random.Random(seed)

    def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return a passage that nobody has seen yet, or nothing."""
        if self._rng.random() >= self._finds:
            return []
        self._count += 1
        text = f"Page {self._count} tells of `Thing{self._count}`."
        return [SearchHit(f"page {self._count}", text, self.name, "things")]


class WholeWay:
    """An agent on its way, and its announcements."""

    def __init__(self, workspace: Workspace, settings: Settings, say: Callable[[str], None], seed: int = 0) -> None:
        self._settings = settings
        self._say = say
        self._workspace = workspace
        self._teacher = TurncoatTeacher(follow_options)
        self._served = 0
        plan = RunPlan(
            RunConfig(
                collect=settings.collect, more_share=settings.more_share, interval_seconds=0.0, vary_presence=True
            ),
            # Nobody answers here: waiting questions must not pile up for minutes, or the states would never be alike.
            AgentConfig(answer_timeout_seconds=2.0, approval_timeout_seconds=4.0),
            TrainingPlan(
                TrainingConfig(epochs=_EPOCHS, learning_rate=_LEARNING_RATE),
                GateConfig(cool_down_decisions=settings.cool_down),
                TINY,
                RolloutConfig(settings.shadow, settings.canary, settings.canary_decisions),
            ),
            MonitorConfig(audit_rate=settings.audit_rate),
            backend="eager",
            seed=seed,
        )
        hooks = RunHooks(self._load_teacher, lambda: SearchChain([("endless", EndlessSearch())]), self._hear)
        self._runner = Runner(workspace, plan, hooks, (*TRAINER_COMMAND, "--device", "cpu"))

    def run(self) -> list[ModelEvent]:
        """Go the whole way and return its steps; raises `TimeoutError` if it does not end in time."""
        thread = threading.Thread(target=self._runner.run, daemon=True)
        deadline = time.monotonic() + self._settings.timeout_seconds
        thread.start()
        try:
            while not self._is_over():
                if time.monotonic() > deadline or not thread.is_alive():
                    raise TimeoutError(f"it came no further than {[event.kind for event in self.steps()]}")
                time.sleep(_LOOK_SECONDS)
        finally:
            self._runner.stop()
            thread.join(30)
        return self.steps()

    def steps(self) -> list[ModelEvent]:
        """Return the versions' events so far."""
        with open_store(self._workspace) as store:
            return ModelRegistry(store, self._workspace).events()

    def _is_over(self) -> bool:
        kinds = [event.kind for event in self.steps()]
        return "rolled_back" in kinds and "promoted" in kinds[kinds.index("rolled_back") :]

    def _load_teacher(self, store: DecisionStore) -> Teacher:
        store.claim_teacher(self._teacher.name, self._teacher.parameters, self._teacher.source)
        return self._teacher

    def _hear(self, event: RunEvent) -> None:
        if event.kind == "decided" and not self._teacher.turned:
            self._served += event.fields["policy"] != self._teacher.name
            # The canary's decisions are too few to reach it.
            if self._served >= self._settings.serve + self._settings.canary_decisions * 3:
                self._teacher.turned = True
                self._say(f"{event.at:%H:%M:%S} the teacher's rule changes: a planted drop")
        elif event.kind in TOLD:
            self._say(f"{event.at:%H:%M:%S} {event.message}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="the workspace to keep; default: a temporary folder")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(options.folder or Path(scratch) / "workspace")
        WholeWay(workspace, Settings(), lambda line: print(line, flush=True), options.seed).run()
        print("\n$ aegis models", flush=True)
        command = [sys.executable, "-m", "aegis.cli.main", "models", "--workspace", str(workspace.folder)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
