"""The faults: what each does to the machine, the provider and the programs, and which programs it meets."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aegis.lifecycle.training.worker import IMPROVER_COMMAND, TRAINER_COMMAND
from benchmarks.soak.machine import Machine
from benchmarks.soak.provider import Provider
from benchmarks.soak.subject import AGENT, SERVER, Subject

_BOTH = (AGENT, SERVER)
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Scene:
    """What can be disturbed."""

    subjects: dict[str, Subject]
    provider: Provider
    machine: Machine


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault."""

    name: str
    begin: Callable[[Scene, random.Random], None]
    end: Callable[[Scene], None] = lambda scene: None
    seconds: tuple[float, float] = (0.0, 0.0)
    """It lasts at least and at most so long"""
    meets: tuple[str, ...] = _BOTH
    """The programs that must go on afterwards"""
    worker: str = ""
    """The command of a process below the programs that is killed, as soon as one runs"""
    needs_layer: bool = False


def kill(name: str) -> Fault:
    """Return the kill of a program."""
    return Fault(f"{name} killed", lambda scene, draw: scene.subjects[name].kill(), meets=(name,))


def trouble(kind: str, words: str) -> Fault:
    """Return a trouble of the provider."""

    def put(scene: Scene, kind: str) -> None:
        scene.provider.trouble = kind

    return Fault(words, lambda scene, draw: put(scene, kind), lambda scene: put(scene, ""), (2.0, 8.0))


def disk(kind: str, words: str) -> Fault:
    """Return a trouble of the disk."""
    return Fault(
        words,
        lambda scene, draw: scene.machine.break_disk(kind),
        lambda scene: scene.machine.break_disk(""),
        (2.0, 8.0),
        needs_layer=True,
    )


def clock(words: str, most_seconds: int) -> Fault:
    """Return a jump of the clock and, some seconds later, one back."""
    least, most = sorted((most_seconds, most_seconds // 24))
    return Fault(
        words,
        lambda scene, draw: scene.machine.move_clock(draw.randint(least, most)),
        lambda scene: scene.machine.move_clock(0),
        (4.0, 12.0),
        needs_layer=True,
    )


def busy(scene: Scene, draw: random.Random) -> None:
    """Keep the cores busy."""
    scene.machine.keep_busy(draw.randint(2, 6), seconds=10.0)


FAULTS = (
    kill(AGENT),
    kill(SERVER),
    Fault("training killed", lambda scene, draw: None, worker=TRAINER_COMMAND[-1]),
    Fault("phase 4's process killed", lambda scene, draw: None, worker=IMPROVER_COMMAND[-1]),
    trouble("fails", "provider fails"),
    trouble("garbage", "provider answers garbage"),
    trouble("hangs", "provider hangs"),
    disk("disk full", "disk full"),
    disk("error of a write", "disk fails to write"),
    disk("error of a sync", "disk fails to sync"),
    clock("clock jumps forward, and back", _DAY),
    clock("clock jumps back, and forward", -_DAY),
    Fault("others on the cores", busy, seconds=(10.0, 10.0)),
)


def deal(draw: random.Random, has_layer: bool) -> Iterator[Fault]:
    """Yield faults without end, each kind once before any comes again."""
    dealt = [fault for fault in FAULTS if has_layer or not fault.needs_layer]
    while True:
        yield from draw.sample(dealt, len(dealt))
