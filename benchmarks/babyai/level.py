"""A BabyAI level in words, and the package's own bot as its expert; it trains nothing.

The state has what the agent has seen in this episode, in the agent's own frame: it sees seven cells ahead and three to
each side, and remembers where things were.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections import deque
from typing import Any

import gymnasium
import minigrid  # noqa: F401  registers the levels
from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT
from minigrid.utils.baby_ai_bot import BabyAIBot

ACTIONS = ("left", "right", "forward", "pickup", "drop", "toggle", "done")
REMEMBERED_ACTIONS = 3
_NOTHING = frozenset({"empty", "floor"})
_TARGET = re.compile(r"(?:the|a) (\w+ )?(ball|box|key|object)")

Place = tuple[int, int]


class Remembering(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps what the agent has seen in this episode, its last actions, and the bot that advises it."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode with an empty memory."""
        with contextlib.redirect_stdout(io.StringIO()):  # "Sampling rejected", for each room that is drawn again
            observation, info = self.env.reset(seed=seed, options=options)
        self.cells: dict[Place, str] = {}
        self.recent: deque[str] = deque(maxlen=REMEMBERED_ACTIONS)
        self.last: int | None = None
        self.bot = BabyAIBot(self.env.unwrapped)
        self._look(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take an action and look. The time limit is part of the mission: whoever passes it has failed."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        terminated, truncated = terminated or truncated, False
        self.recent.append(ACTIONS[int(action)])
        self.last = int(action)
        self._look(observation)
        return observation, reward, terminated, truncated, info

    def _look(self, observation: Any) -> None:
        image = observation["image"]
        size = image.shape[0]
        for x in range(size):
            for y in range(size):
                kind = IDX_TO_OBJECT[int(image[x, y, 0])]
                if kind == "unseen" or (x, y) == (size // 2, size - 1):  # the agent's own cell shows what it carries
                    continue
                name = kind if kind == "wall" or kind in _NOTHING else f"{IDX_TO_COLOR[int(image[x, y, 1])]} {kind}"
                self.cells[self.to_world(size - 1 - y, x - size // 2)] = name
        own = tuple(int(one) for one in self.unwrapped.agent_pos)  # type: ignore[attr-defined]
        self.cells[own] = "empty"  # type: ignore[index]

    def to_world(self, ahead: int, right: int) -> Place:
        """Return the cell that lies so far ahead and to the right of the agent."""
        own: Any = self.unwrapped
        at = own.agent_pos + ahead * own.dir_vec + right * own.right_vec
        return int(at[0]), int(at[1])

    def to_own(self, place: Place) -> tuple[int, int]:
        """Return how far ahead and to the right of the agent a cell lies."""
        own: Any = self.unwrapped
        away = (place[0] - own.agent_pos[0], place[1] - own.agent_pos[1])
        return (
            int(away[0] * own.dir_vec[0] + away[1] * own.dir_vec[1]),
            int(away[0] * own.right_vec[0] + away[1] * own.right_vec[1]),
        )


def describe(env: Any, observation: Any) -> dict[str, Any]:
    """Return the state: the mission, where its things are, what stands beside the agent, and what it has not seen."""
    held = env.unwrapped.carrying
    targets = {
        f"goal {number}": _where(env, held, colour.strip(), kind)
        for number, (colour, kind) in enumerate(_TARGET.findall(observation["mission"]), 1)
    }
    return {
        "mission": observation["mission"],
        "carrying": f"{held.color} {held.type}" if held else "nothing",
        "beside": {
            side: _read(env, *offset) for side, offset in {"front": (1, 0), "left": (0, -1), "right": (0, 1)}.items()
        },
        **targets,
        "unseen": _unseen(env),
        "last actions": " ".join(env.recent) or "none",
        "others": [f"{name} {_words(*at)}" for at, name in _things(env)],
    }


def ask_bot(env: Any, observation: Any) -> int:
    """Return the bot's action, whoever took the last one."""
    return int(env.bot.replan(env.last))


def _things(env: Any) -> list[tuple[tuple[int, int], str]]:
    """Return the things remembered, the nearest first."""
    known = [(env.to_own(place), name) for place, name in env.cells.items() if name != "wall" and name not in _NOTHING]
    return sorted(known, key=lambda one: (abs(one[0][0]) + abs(one[0][1]), one))


def _where(env: Any, held: Any, colour: str, kind: str) -> str:
    """Return where the nearest thing is that a part of the mission names."""

    def is_meant(its_colour: str, its_kind: str) -> bool:
        return colour in ("", its_colour) and kind in ("object", its_kind)

    if held and is_meant(held.color, held.type):
        return "carried"
    return next((_words(*at) for at, name in _things(env) if is_meant(*name.split())), "not seen")


def _unseen(env: Any) -> str:
    """Return where the nearest cell is that has not been seen and lies next to one that has and is free."""
    edge = {
        (x + dx, y + dy)
        for (x, y), name in env.cells.items()
        if name in _NOTHING
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))
    } - set(env.cells)
    if not edge:
        return "nothing"
    return _words(*min((env.to_own(one) for one in edge), key=lambda at: (abs(at[0]) + abs(at[1]), -at[0], -at[1])))


def _read(env: Any, ahead: int, right: int) -> str:
    name = str(env.cells.get(env.to_world(ahead, right), "unseen"))
    return "free" if name in _NOTHING else name


def _words(ahead: int, right: int) -> str:
    along = f"{ahead} ahead" if ahead > 0 else f"{-ahead} behind" if ahead else "level"
    across = f"{right} right" if right > 0 else f"{-right} left" if right else "straight"
    return f"{along} {across}"
