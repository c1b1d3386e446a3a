"""Worlds to try a policy in: the agent itself, offline, seeded, with a simulated clock, in memory.

They are thrown away. A world may have a past: phase 4 begins where phase 1 has found what is easily found. A person may
live in it.
"""

from __future__ import annotations

import functools
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from aegis.config import AgentConfig
from aegis.errors import ConfigError
from aegis.research.actions import RESEARCH_ACTIONS, called_for
from aegis.research.inbox import DrawnPresence, Inbox, Presence
from aegis.research.loop import Agent, AgentHooks, Situation, Step
from aegis.research.search import SearchHit, SearchProvider
from aegis.research.world.person import Person, SimulatedPerson, nobody
from aegis.store import Database, DecisionStore
from aegis.types import ActionList, Choice, Outcome, State

SECONDS_PER_DECISION = 60.0
"""Simulated time per decision: a question times out after 5 decisions, a proposal after 1,440."""
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_ENDLESS = 2**31
_QUERIES_KEPT = 50_000
_LIVED_KEPT = 32
"""Pasts kept in memory, some megabytes each: the next policy begins in the same world"""

NOBODY, PEOPLE = "nobody", "people"
"""Kinds of worlds: as they are made, by default without anybody; and with a simulated person, drawn by the seed"""

KINDS = (NOBODY, PEOPLE)


def choose_offered(state: State) -> str:
    """Return the action of an obvious rule: search for what is new, else propose, else idle."""
    offered = [str(option).split(":")[0] for option in state.get("options", [])]
    for spec in RESEARCH_ACTIONS:
        if spec.words in ("search", "propose") and spec.words in offered:
            return spec.name
    return "idle"


class World:
    """A world, made by `Worlds`. The caller begins its episodes; the knowledge remains."""

    def __init__(self, agent: Agent, store: DecisionStore, clock: _Clock, person: Person) -> None:
        self.store = store
        """Its decisions and outcomes."""
        self._agent = agent
        self._clock = clock
        self._person = person

    def begin_episode(self) -> None:
        """Take up new goals."""
        self._agent.start_episode()

    def observe(self) -> Situation:
        """Return the situation to decide in."""
        return self._agent.observe()

    def called_for(self, situation: Situation) -> str:
        """Return `ask_human` where a simulated person is present and there is a question to ask; else ''."""
        return called_for(situation.state) if isinstance(self._person, SimulatedPerson) else ""

    def act(self, situation: Situation, choice: Choice) -> Step:
        """Carry out a policy's choice; time passes."""
        return self._pass_time(self._agent.act(situation, choice))

    def act_as(self, situation: Situation, action: str, policy: str = "outside") -> Step:
        """Carry out an action that an outsider of this name chose; time passes."""
        return self._pass_time(self._agent.act_as(situation, action, policy))

    def _pass_time(self, step: Step) -> Step:
        self._person(self.store.database, self._clock.now)
        self._clock.pass_decision()
        return step

    def wait_out(self) -> tuple[Outcome, ...]:
        """Let time pass until all waiting questions are answered or time out; return their outcomes."""
        end = self._clock.now + timedelta(seconds=self._agent.config.answer_timeout_seconds)
        while self._clock.now < end:
            self._person(self.store.database, self._clock.now)
            self._clock.pass_decision()
        self._clock.now = end
        return self._agent.settle(self._clock.now)

    def close(self) -> None:
        """Remove the world."""
        self.store.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Worlds:
    """Makes worlds that differ only by their seed; the same seed gives the same world.

    search: must give the same answer to the same query. lived: decisions in each world's past, by the rule of
    `choose_offered`; 0: nothing is known. person: acts after each decision. vary_presence: in half of the decisions the
    policy sees that a person is present. on_lived is called with the number of a past's decisions made so far. Raises
    `ConfigError` for times or numbers out of bounds.
    """

    def __init__(
        self,
        search: SearchProvider,
        topics: Iterable[str],
        config: AgentConfig | None = None,
        *,
        lived: int = 0,
        person: Person = nobody,
        vary_presence: bool = False,
        seconds_per_decision: float = SECONDS_PER_DECISION,
        on_lived: Callable[[int], None] = lambda made: None,
    ) -> None:
        if seconds_per_decision <= 0:
            raise ConfigError(f"seconds_per_decision must be above 0, not {seconds_per_decision}")
        if lived < 0:
            raise ConfigError(f"lived must be at least 0, not {lived}")
        self.config = config or AgentConfig()
        self.kinds: tuple[str, ...] = (NOBODY,)
        """The kinds of worlds to learn in and to measure in; `KINDS` adds worlds with a simulated person"""
        self._search = _RememberedSearch(search)
        self._topics = tuple(topics)
        self._lived = lived
        self._person = person
        self._vary_presence = vary_presence
        self._seconds = timedelta(seconds=seconds_per_decision)
        self._on_lived = on_lived
        self._kept: OrderedDict[int, tuple[bytes, datetime]] = OrderedDict()

    @property
    def episode_length(self) -> int:
        """Decisions in an episode."""
        return self.config.episode_length

    def begin(self, seed: int, past: int | None = None, kind: str = NOBODY) -> World:
        """Return a world in which an episode has begun.

        past: seed of the world whose past it shares, though not its future; None: its own seed. kind: `NOBODY` or
        `PEOPLE`.
        """
        person = SimulatedPerson(f"{seed} person") if kind == PEOPLE else self._person
        if not self._lived:
            return self._make(random.Random(seed), _BEGIN, None, person)
        past = seed if past is None else past
        self.prepare(past)
        image, now = self._kept[past]
        return self._make(random.Random(seed), now, image, person)

    def prepare(self, seed: int) -> None:
        """Live through the past of a world now, which takes some seconds, unless it is already kept."""
        if not self._lived:
            return
        if seed not in self._kept:
            self._kept[seed] = self._live(seed)
        self._kept.move_to_end(seed)
        if len(self._kept) > _LIVED_KEPT:
            self._kept.popitem(last=False)

    def _live(self, seed: int) -> tuple[bytes, datetime]:
        """Return the database of a world with a past, and its time."""
        with self._make(random.Random(f"{seed} before"), _BEGIN, None, self._person) as world:
            for made in range(self._lived):
                if made and made % self.config.episode_length == 0:
                    world.begin_episode()
                situation = world.observe()
                world.act_as(situation, choose_offered(situation.state), "before")
                self._on_lived(made + 1)
            world.wait_out()
            return world.store.database.sqlite.serialize(), world._clock.now

    def _make(self, rng: random.Random, now: datetime, image: bytes | None, person: Person) -> World:
        names, database, clock = random.Random(rng.getrandbits(62)), Database(None), _Clock(now, self._seconds)
        if image is not None:
            database.sqlite.deserialize(image)
        store = DecisionStore(database)
        agent = Agent(
            store,
            _Outside(),
            self._search,
            self._topics,
            rng,
            replace(self.config, episode_length=_ENDLESS),  # the caller begins the episodes
            hooks=AgentHooks(
                presence=self._presence(person, rng),
                clock=lambda: clock.now,
                make_id=lambda: f"{names.getrandbits(128):032x}",
            ),
        )
        return World(agent, store, clock, person)

    def _presence(self, person: Person, rng: random.Random) -> Callable[[Inbox], Presence] | None:
        if isinstance(person, SimulatedPerson):
            return lambda inbox: person
        return (lambda inbox: DrawnPresence(rng)) if self._vary_presence else None


class _RememberedSearch:
    """A search that sends each query once: worlds repeat the same queries."""

    never_hangs = True
    """The provider has its own limits: a thread for each query would take longer than most answers"""

    def __init__(self, search: SearchProvider) -> None:
        self.name = search.name
        self._search = search
        self.search = functools.lru_cache(maxsize=_QUERIES_KEPT)(self._ask)

    def _ask(self, query: str, limit: int) -> list[SearchHit]:
        return self._search.search(query, limit)


class _Clock:
    """The time in a world, which passes when told to."""

    def __init__(self, now: datetime, step: timedelta) -> None:
        self.now = now
        self._step = step

    def pass_decision(self) -> None:
        self.now += self._step


class _Outside:
    """Stands for the caller of `act`; the agent never asks it."""

    name, parameters = "outside", 0

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        raise NotImplementedError("decisions come from outside, by act() or act_as()")
