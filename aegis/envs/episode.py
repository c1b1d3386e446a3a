"""Episodes of Gymnasium environments: many are played in step, so that one call of a policy decides for all."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aegis.door.given import make_state
from aegis.errors import ConfigError, DataError
from aegis.types import ActionList, Choice, Policy, State

if TYPE_CHECKING:
    import gymnasium

Describe = Callable[[Any, Any], Any]
"""The state of (environment, observation): a JSON object, a text or chat messages"""
Expert = Callable[[Any, Any], Any]
"""The action in (environment, observation): its name, or its place in the list of actions"""


@dataclass(frozen=True, slots=True)
class Turn:
    """One decision of an episode, and what it brought at once."""

    state: State
    choice: Choice
    reward: float


@dataclass(slots=True)
class Episode:
    """One episode, from a reset to its end."""

    seed: int
    turns: list[Turn] = field(default_factory=list)
    terminated: bool = False
    """Whether the environment ended it; else it was cut off"""
    info: Mapping[str, Any] = field(default_factory=dict)
    """The environment's, of the last step"""

    @property
    def total(self) -> float:
        """The return: the sum of the rewards, not discounted."""
        return sum(turn.reward for turn in self.turns)


@dataclass(slots=True)
class Seat:
    """An environment in an episode that goes on, before its next decision."""

    environment: gymnasium.Env[Any, Any]
    observation: Any
    state: State
    episode: Episode


Decide = Callable[[Sequence[Seat]], Sequence[Choice]]
"""How `play` asks for the next actions: of all environments at once"""


def play(
    environments: Sequence[gymnasium.Env[Any, Any]],
    seeds: Iterable[int],
    describe: Describe,
    actions: ActionList,
    decide: Decide,
) -> Iterator[Episode]:
    """Yield an episode for each seed as it ends; one environment plays them in the order of the seeds."""
    waiting = iter(seeds)

    def sit(environment: gymnasium.Env[Any, Any]) -> Seat | None:
        seed = next(waiting, None)
        if seed is None:
            return None
        observation, _ = environment.reset(seed=seed)
        return Seat(environment, observation, make_state(describe(environment, observation)), Episode(seed))

    seats = [seat for environment in environments if (seat := sit(environment))]
    while seats:
        going: list[Seat] = []
        for seat, choice in zip(seats, decide(seats), strict=True):
            following: Seat | None = seat
            if _act(seat, choice, actions, describe):
                yield seat.episode
                following = sit(seat.environment)
            if following is not None:
                going.append(following)
        seats = going


def _act(seat: Seat, choice: Choice, actions: ActionList, describe: Describe) -> bool:
    """Carry out a choice; return whether the episode is over."""
    environment, episode = seat.environment, seat.episode
    place = first_action(environment) + actions.index(choice.action)
    seat.observation, reward, terminated, truncated, info = environment.step(place)
    episode.turns.append(Turn(seat.state, choice, float(reward)))
    if terminated or truncated:
        episode.terminated, episode.info = bool(terminated), info
        return True
    seat.state = make_state(describe(environment, seat.observation))
    return False


def first_action(environment: gymnasium.Env[Any, Any]) -> int:
    """Return the number of an environment's first action."""
    return int(getattr(environment.action_space, "start", 0))


def by_policy(policy: Policy, actions: ActionList) -> Decide:
    """Return the function by which `play` asks a policy: about all environments at once."""
    return lambda seats: policy.decide([seat.state for seat in seats], actions)


def by_expert(expert: Expert, actions: ActionList) -> Decide:
    """Return the function by which `play` asks an expert; it raises `DataError` for an answer that is no action."""
    name = name_of(expert)

    def decide(seats: Sequence[Seat]) -> list[Choice]:
        return [_read(expert(seat.environment, seat.observation), actions, name) for seat in seats]

    return decide


def name_of(expert: Expert) -> str:
    """Return the name under which an expert's decisions are recorded: the function's own."""
    return str(getattr(expert, "__name__", type(expert).__name__))


def _read(answer: Any, actions: ActionList, name: str) -> Choice:
    try:
        place = actions.index(answer) if isinstance(answer, str) else int(answer)
    except (TypeError, ValueError, DataError):
        place = -1
    if not 0 <= place < len(actions):
        raise DataError(
            f"expert {name} answered {answer!r}: return one of {', '.join(actions.names)},"
            f" or a place from 0 to {len(actions) - 1}"
        )
    return Choice.certain(actions.names[place], actions, name, "teacher")


def choose_at_random(seed: int = 0) -> Expert:
    """Return an expert that draws each action evenly: the least that a policy must beat."""
    rng = random.Random(seed)

    def random_actions(environment: Any, observation: Any) -> int:
        return rng.randrange(int(environment.action_space.n))

    return random_actions


def check_space(environment: gymnasium.Env[Any, Any], actions: ActionList) -> None:
    """Raise `ConfigError` unless the environment's actions are discrete, and as many as the list's."""
    count = getattr(environment.action_space, "n", None)
    if count is None or getattr(environment.action_space, "shape", ()) != ():
        raise ConfigError(
            f"the environment's actions are {environment.action_space}: only Discrete ones can be decided"
        )
    if int(count) != len(actions):
        raise ConfigError(
            f"the environment has {int(count)} actions and {len(actions)} names were given"
            f" ({', '.join(actions.names)}): name each of them, in their order"
        )
