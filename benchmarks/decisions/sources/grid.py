"""BabyAI's levels in words, decided by the package's bot. Needs `minigrid`.

The state is the agent's view alone: what it sees, in its own frame. It remembers nothing but its last action.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from benchmarks.decisions.problem import Logged

SIDE = 7
"""Cells that the agent sees along each side of its view; it stands in the middle of the nearest row."""
_UNSAID = ("unseen", "empty", "floor", "wall")


def read_level(level: str, least: int) -> Iterator[Logged]:
    """Yield the bot's decisions on a level, seed by seed, until there are at least this many, in whole episodes."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    import gymnasium

    from benchmarks.babyai.level import ACTIONS, Remembering, ask_bot

    env = Remembering(gymnasium.make(f"BabyAI-{level}-v0"))
    told, seed = 0, 0
    while told < least:
        observation, _ = env.reset(seed=seed)
        over, step = False, 0
        while not over:
            state = describe_view(env, observation, env.recent[-1] if env.recent else "none")
            action = ask_bot(env, observation)
            yield Logged(f"seed {seed}", step, state, ACTIONS[action])
            observation, _, over, _, _ = env.step(action)
            step += 1
        told, seed = told + step, seed + 1


def describe_view(env: Any, observation: Any, last: str) -> dict[str, Any]:
    """Return the mission, what the agent holds and sees, and its last action."""
    own = env.unwrapped
    front, held = own.grid.get(*own.front_pos), own.carrying
    return {
        "mission": observation["mission"],
        "front": f"{front.color} {front.type}" if front else "free",
        "last_action": last,
        "holding": f"{held.color} {held.type}" if held else "nothing",
        "sees": name_things(observation["image"]),
    }


def name_things(image: Any) -> list[str]:
    """Return each thing of a view with its place, the nearest row first."""
    from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT

    middle = SIDE // 2
    return [
        f"{IDX_TO_COLOR[int(image[x, y, 1])]} {kind} ahead {SIDE - 1 - y} {'left' if x < middle else 'right'}"
        f" {abs(x - middle)}"
        for y in range(SIDE - 1, -1, -1)
        for x in range(SIDE)
        if (kind := IDX_TO_OBJECT[int(image[x, y, 0])]) not in _UNSAID
    ]
