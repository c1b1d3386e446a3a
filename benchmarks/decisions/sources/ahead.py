"""Decisions that need looking ahead, drawn by a seed: who holds what after some swaps, and keys to locked doors.

A solver is the teacher. One glance is not enough: a swap is known only when the swaps before it are, and a key is worth
a detour only if a door on the way needs it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from typing import Any

from benchmarks.decisions.problem import Logged
from benchmarks.decisions.sources.numbers import EPISODE

PEOPLE = ("ann", "bob", "cara", "dan", "eve")
THINGS = ("apple", "book", "coin", "drum", "egg")
SWAPS = 5
ROOMS = ("hall", "kitchen", "cellar", "attic", "study", "garden")
COLOURS = ("red", "blue", "green")
TAKE = "take_key"
SHORTEST = 3
"""Steps of the shortest plan at least: of fewer, the next room is the goal or beside it"""
_LOCKED = 0.5

Door = tuple[str, str, str]
"""Two rooms, and the colour of the key; empty without a lock"""
Place = tuple[str, frozenset[str]]
"""A room, and the colours of the keys that are held"""


def read_swaps(count: int, seed: int = 0) -> Iterator[Logged]:
    """Yield who holds a thing after five swaps of what two people hold."""
    draw = random.Random(seed)
    for number in range(count):
        things = draw.sample(THINGS, len(THINGS))
        held = dict(zip(PEOPLE, things, strict=True))
        swaps = [draw.sample(PEOPLE, 2) for _ in range(SWAPS)]
        asked = draw.choice(THINGS)
        state = {"holds": dict(held), "swaps": [" with ".join(pair) for pair in swaps], "who_has": asked}
        for one, other in swaps:
            held[one], held[other] = held[other], held[one]
        holder = next(person for person, thing in held.items() if thing == asked)
        yield _logged(number, state, holder)


def read_doors(count: int, seed: int = 0) -> Iterator[Logged]:
    """Yield the first step of the shortest way to a room, through doors of which some need keys from other rooms.

    Drawn are only houses where one first step is better than all others.
    """
    draw, number = random.Random(seed), 0
    while number < count:
        doors = _draw_doors(draw)
        keys = {colour: draw.choice(ROOMS) for colour in sorted({door[2] for door in doors} - {""})}
        at, goal = draw.sample(ROOMS, 2)
        step = find_step((at, frozenset()), goal, doors, keys)
        if step is None:
            continue
        state: dict[str, Any] = {
            "at": at,
            "goal": goal,
            "doors": [f"{one} {other} {colour or 'open'}" for one, other, colour in doors],
            "keys": [f"{colour} in {room}" for colour, room in keys.items()],
        }
        yield _logged(number, state, step)
        number += 1


def find_step(start: Place, goal: str, doors: list[Door], keys: dict[str, str]) -> str | None:
    """Return the first step of the shortest plan; None if there is no plan, a shorter one or an equally good step."""
    lengths = {step: _plan_length(place, goal, doors, keys) for step, place in _steps(start, doors, keys)}
    known = {step: length for step, length in lengths.items() if length is not None}
    least = min(known.values(), default=None)
    if least is None or 1 + least < SHORTEST:
        return None
    best = [step for step, length in known.items() if length == least]
    return best[0] if len(best) == 1 else None


def _plan_length(start: Place, goal: str, doors: list[Door], keys: dict[str, str]) -> int | None:
    """Return the number of steps from a place to the goal; None if it can't be reached."""
    waiting, lengths = deque([start]), {start: 0}
    while waiting:
        place = waiting.popleft()
        if place[0] == goal:
            return lengths[place]
        for _, following in _steps(place, doors, keys):
            if following not in lengths:
                lengths[following] = lengths[place] + 1
                waiting.append(following)
    return None


def _steps(place: Place, doors: list[Door], keys: dict[str, str]) -> Iterator[tuple[str, Place]]:
    """Yield each possible step with the place that it leads to."""
    at, held = place
    for one, other, colour in doors:
        if at in (one, other) and (not colour or colour in held):
            room = other if at == one else one
            yield f"go_{room}", (room, held)
    lying = {colour for colour, room in keys.items() if room == at} - held
    if lying:
        yield TAKE, (at, held | lying)


def _draw_doors(draw: random.Random) -> list[Door]:
    """Return doors that join all rooms, and one more, in any order."""
    rooms = draw.sample(ROOMS, len(ROOMS))
    pairs = [(draw.choice(rooms[:place]), room) for place, room in enumerate(rooms) if place]
    others = [
        (one, other)
        for place, one in enumerate(rooms)
        for other in rooms[:place]
        if (one, other) not in pairs and (other, one) not in pairs
    ]
    pairs.append(draw.choice(others))
    turned = [draw.sample(pair, 2) for pair in draw.sample(pairs, len(pairs))]
    return [(one, other, draw.choice(COLOURS) if draw.random() < _LOCKED else "") for one, other in turned]


def _logged(number: int, state: dict[str, Any], action: str) -> Logged:
    return Logged(f"episode {number // EPISODE}", number % EPISODE, state, action)
