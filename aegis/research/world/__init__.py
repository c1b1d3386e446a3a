"""Worlds to try a policy in, with and without a simulated person.

A module is imported when one of its names is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.packages import on_demand

if TYPE_CHECKING:
    from aegis.research.world.person import Habits, Person, SimulatedPerson, draw_habits, nobody
    from aegis.research.world.worlds import (
        KINDS,
        NOBODY,
        PEOPLE,
        SECONDS_PER_DECISION,
        World,
        Worlds,
        choose_offered,
    )

_ROOMS = {
    "person": ("Habits", "Person", "SimulatedPerson", "draw_habits", "nobody"),
    "worlds": ("KINDS", "NOBODY", "PEOPLE", "SECONDS_PER_DECISION", "World", "Worlds", "choose_offered"),
}

__all__ = [
    "KINDS",
    "NOBODY",
    "PEOPLE",
    "SECONDS_PER_DECISION",
    "Habits",
    "Person",
    "SimulatedPerson",
    "World",
    "Worlds",
    "choose_offered",
    "draw_habits",
    "nobody",
]

__getattr__ = on_demand(__name__, _ROOMS)
