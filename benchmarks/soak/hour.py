"""The whole way under faults: an agent and a server go from collection to phase 4, again and again, until time is over.

Both ask one provider. Faults come one after the other: after each, every program that it meets must acknowledge a new
decision before the next fault comes. A round ends some time after both have reached phase 4; then what was
acknowledged is looked up in the record, and `aegis verify` and `aegis doctor` judge it. The seed gives the order of the
faults, their moments and lengths; how the programs come through also depends on the machine.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from benchmarks.soak.fault import Fault, Scene, deal
from benchmarks.soak.ledger import BETWEEN, Checked, Ledger, Said
from benchmarks.soak.machine import Machine
from benchmarks.soak.provider import Provider
from benchmarks.soak.subject import Clients, Subject, make_agent, make_server

GAP_SECONDS = (3.0, 17.0)
"""From one fault's end to the next fault, at least and at most"""
STAY_SECONDS = 60.0
"""In phase 4, before a round ends"""
RECOVERY_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_MEASURE_SECONDS = 2.0
_LAST_PHASE = 4
_WORKER_SECONDS = 6.0
"""For which a training has been seen at most when it is killed"""


@dataclass
class Planted:
    """What came of one kind of fault."""

    times: int = 0
    recovered: int = 0
    longest_seconds: float = 0.0
    """From its end to the next decision of the slower program"""


@dataclass
class Report:
    """What the hour has found so far."""

    planted: dict[str, Planted] = field(default_factory=dict)
    said: Said = field(default_factory=Said)
    checked: dict[str, Checked] = field(default_factory=dict)
    phases: dict[str, Counter[int]] = field(default_factory=dict)
    """How often each phase was the last one of a round, by program"""
    events: dict[str, Counter[str]] = field(default_factory=dict)
    memory: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    """By program: the most in MB; the longest life in seconds, and the growth in its second half in MB"""
    lives: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    """Of `aegis verify` and `aegis doctor`"""
    wrong: list[str] = field(default_factory=list)
    rounds: int = 0
    seconds: float = 0.0


class Hour:
    """An hour, or another time, of planted faults. say: hears what happens, in lines."""

    def __init__(self, folder: Path, seconds: float, seed: int, say: Callable[[str], None]) -> None:
        self.report = Report()
        self._folder, self._say = folder, say
        self._draw = random.Random(seed)
        self._began = time.monotonic()
        self._ends = self._began + seconds
        self._provider = Provider(seed)
        self._machine = Machine(folder, folder / "disk")
        self._faults = deal(self._draw, self._machine.has_layer)
        self._waiting: list[Fault] = []
        """For a process that is to be killed and does not run yet"""
        self._measured = 0.0
        self._reached: float | None = None
        self._stopped = False
        if not self._machine.has_layer:
            say("the disk and the clock are left alone: that needs Linux and gcc (apt install gcc)")

    def run(self) -> Report:
        """Plant faults until the time is over, or until Ctrl-C or SIGTERM; return what was found."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not self._stopped and time.monotonic() < self._ends:
                self._run_round()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._machine.close()
            self._provider.close()
            self.report.seconds = time.monotonic() - self._began
        return self.report

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """End the present round. A second signal ends everything at once."""
        self._stopped = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._say("stopping: the programs leave, and their record is checked")

    def _run_round(self) -> None:
        number, environment, teacher = self.report.rounds, self._machine.environment(), self._provider.url
        place, log = self._folder / "disk" / f"round-{number}", self._folder / f"agent-{number}.log"
        agent = make_agent(place / "agent", log, environment, teacher, self._draw.randrange(2**31))
        server, url = make_server(place / "server", self._folder / f"server-{number}.log", environment, teacher)
        scene = Scene({one.name: one for one in (agent, server)}, self._provider, self._machine)
        ledger, self._reached = Ledger(self.report.said), None
        clients = None
        try:
            for subject in scene.subjects.values():
                subject.start(ledger)
            clients = Clients(server, url, number)
            self._plant_all(scene)
        finally:
            self._heal()
            if clients is not None:
                clients.close()
            for subject in scene.subjects.values():
                subject.stop()
            self._close_round(scene)

    def _plant_all(self, scene: Scene) -> None:
        while not self._is_over():
            self._tend(scene, self._draw.uniform(*GAP_SECONDS), lambda: self._find_waiting(scene) is not None)
            if self._is_over():
                return
            fault = self._find_waiting(scene)
            if fault is not None:
                self._waiting.remove(fault)
                self._tend(scene, self._draw.uniform(0, _WORKER_SECONDS))
            else:
                fault = next(self._faults)
            if fault.worker and not self._kill_worker(fault, scene):
                self._waiting = [*(one for one in self._waiting if one is not fault), fault]
            else:
                self._plant(fault, scene)

    def _plant(self, fault: Fault, scene: Scene) -> None:
        """Plant a fault and wait until the programs go on."""
        self._say(f"{time.monotonic() - self._began:6.0f} s  {fault.name}")
        self.report.said.fault = fault.name
        fault.begin(scene, self._draw)
        self._tend(scene, self._draw.uniform(*fault.seconds), always=True)
        fault.end(scene)
        ended = time.monotonic()
        met = [scene.subjects[name] for name in fault.meets]
        before = {one.name: one.ledger.count(one.name) for one in met}

        def went_on() -> bool:
            return all(one.ledger.count(one.name) > before[one.name] for one in met)

        self._tend(scene, RECOVERY_SECONDS, went_on, always=True)
        if self._stopped:
            return
        planted = self.report.planted.setdefault(fault.name, Planted())
        planted.times += 1
        if went_on():
            planted.recovered += 1
            planted.longest_seconds = max(planted.longest_seconds, time.monotonic() - ended)
        else:
            late = [one.name for one in met if one.ledger.count(one.name) == before[one.name]]
            self.report.wrong.append(f"{fault.name}: {', '.join(late)} did not go on within {RECOVERY_SECONDS:.0f} s")
            self._say(self.report.wrong[-1])
        self._tend(scene, 1.0, always=True)  # what it still says is this fault's
        self.report.said.fault = BETWEEN

    def _tend(
        self, scene: Scene, seconds: float, until: Callable[[], bool] = lambda: False, always: bool = False
    ) -> None:
        """Keep the programs running for so long, or until something holds. always: after the hour's end, too."""
        end = time.monotonic() + seconds
        while not self._stopped and time.monotonic() < end and not until() and (always or not self._is_over()):
            time.sleep(_LOOK_SECONDS)
            for subject in scene.subjects.values():
                subject.tend()
            if time.monotonic() > self._measured + _MEASURE_SECONDS:
                self._measured = time.monotonic()
                reached = all(subject.phase == _LAST_PHASE for subject in scene.subjects.values())
                if reached and self._reached is None:
                    self._reached = time.monotonic()

    def _is_over(self) -> bool:
        now = time.monotonic()
        return self._stopped or now > self._ends or (self._reached is not None and now > self._reached + STAY_SECONDS)

    def _kill_worker(self, fault: Fault, scene: Scene) -> bool:
        return any(subject.kill_worker(fault.worker) for subject in scene.subjects.values())

    def _find_waiting(self, scene: Scene) -> Fault | None:
        """Return a fault that waited for a process that runs now."""
        for fault in self._waiting:
            if any(one.find_worker(fault.worker) is not None for one in scene.subjects.values()):
                return fault
        return None

    def _heal(self) -> None:
        self._provider.trouble = ""
        self._machine.break_disk("")
        self._machine.move_clock(0)
        self.report.said.fault = BETWEEN

    def _close_round(self, scene: Scene) -> None:
        """Add a round to the report."""
        self.report.rounds += 1
        for name, subject in scene.subjects.items():
            checked = subject.check()
            self.report.checked.setdefault(name, Checked()).add(checked)
            self.report.phases.setdefault(name, Counter())[subject.phase] += 1
            self.report.events.setdefault(name, Counter()).update(subject.events)
            self.report.lives[name] += subject.lives
            most, longest, growth = self.report.memory.get(name, (0.0, 0.0, 0.0))
            if subject.longest_life_seconds > longest:
                longest, growth = subject.longest_life_seconds, subject.growth_mb
            self.report.memory[name] = (max(most, subject.most_mb), longest, growth)
            for verdict, is_wrong in judge(subject):
                self.report.verdicts[verdict] += 1
                if is_wrong:
                    self.report.wrong.append(f"round {self.report.rounds}, {name}: {verdict}")
            self._say(
                f"round {self.report.rounds}, {name}: phase {subject.phase}, {checked.acknowledged} decisions"
                f" acknowledged, {checked.lost} lost, {checked.doubled} doubled; {subject.lives} lives"
            )


def judge(subject: Subject) -> Iterator[tuple[str, bool]]:
    """Yield what `aegis verify` and `aegis doctor` say of a workspace, and whether it is wrong."""
    if not subject.workspace.database.exists():
        return
    code, said = _run_aegis("verify", "--workspace", str(subject.workspace.folder))
    yield ("aegis verify: nothing changed", False) if code == 0 else (f"aegis verify: {said}", True)
    code, said = _run_aegis("doctor", "--workspace", str(subject.workspace.folder))
    if code == 0:
        yield "aegis doctor: sound", False
        return
    code, said = _run_aegis("doctor", "--repair", "--workspace", str(subject.workspace.folder))
    yield ("aegis doctor: leftovers, all repaired", False) if code == 0 else (f"aegis doctor: {said}", True)


def _run_aegis(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "aegis.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
    wrong = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    return done.returncode, "; ".join(wrong) or (done.stdout + done.stderr).strip()[-300:]
