"""What phase 4 asks of simulated worlds: any agent's, by these methods."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from aegis.store import DecisionStore
from aegis.types import Choice, Decision, Outcome, State


class Situation(Protocol):
    """What there is to decide."""

    @property
    def state(self) -> State: ...


class Step(Protocol):
    """A decision that was carried out, its outcome, and the late outcomes of earlier decisions."""

    @property
    def decision(self) -> Decision: ...

    @property
    def outcome(self) -> Outcome: ...

    @property
    def late(self) -> tuple[Outcome, ...]: ...


class World(Protocol):
    """One world, with its own store; it is thrown away at the end."""

    @property
    def store(self) -> DecisionStore: ...

    def begin_episode(self) -> None:
        """Begin the next episode."""

    def observe(self) -> Situation:
        """Return the situation to decide in."""

    def called_for(self, situation: Any) -> str:
        """Return the action that somebody in this world is there to reward now; '' if there is none."""

    def act(self, situation: Any, choice: Choice) -> Step:
        """Carry out a policy's choice in a situation that it observed."""

    def wait_out(self) -> tuple[Outcome, ...]:
        """Let time pass until all that waits is settled; return the outcomes."""

    def close(self) -> None:
        """Remove the world."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Worlds(Protocol):
    """Makes worlds; the same seed gives the same world."""

    @property
    def episode_length(self) -> int: ...

    @property
    def kinds(self) -> Sequence[str]:
        """Names of the kinds of worlds, such as with and without people."""

    def begin(self, seed: int, past: int | None = None, kind: str = ...) -> World:
        """Return a world in which an episode has begun. past: seed of the world whose past it shares."""

    def prepare(self, seed: int) -> None:
        """Make the past of a world now."""
