"""The agent: observes its world, lets a policy decide, records the decision, carries it out, and records the outcome.

It sees a `Policy`, never a model.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aegis.config import AgentConfig
from aegis.door.recording.drafting import Outside, draft, record
from aegis.errors import ActionError
from aegis.research.actions import (
    ASK_HUMAN,
    IDLE,
    PROPOSE_IMPROVEMENT,
    RESEARCH_ACTIONS,
    WEB_SEARCH,
    ActionExecutor,
    Plan,
)
from aegis.research.inbox import Inbox, Presence, SeenPresence
from aegis.research.memory.curiosity import Curiosity
from aegis.research.memory.goals import Goal, GoalBook
from aegis.research.memory.knowledge import KnowledgeBase
from aegis.research.memory.queries import QueryLog, choose_query
from aegis.research.proposals import ApprovalQueue, Proposal, Refusal, candidates
from aegis.research.review import TrainingReview, review_search
from aegis.research.rewards import RewardTable, make_table
from aegis.research.search import SearchChain, SearchProvider
from aegis.store import DecisionStore
from aegis.types import Choice, Decision, Outcome, Policy, new_id, utc_now

_GOALS_TRIED = 3
"""Goals drawn until a goal has a question to ask; if all is known, the last goal is taken anyway."""


@dataclass(frozen=True, slots=True)
class Situation:
    """The agent's world before a decision."""

    state: dict[str, Any]
    """The state that a policy sees."""
    plan: Plan
    """The argument that each action would have."""
    late: tuple[Outcome, ...]
    """Outcomes of earlier decisions that came since the last observation; already recorded."""
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """A turn of the loop: a decision and its immediate outcome."""

    decision: Decision
    outcome: Outcome
    late: tuple[Outcome, ...] = ()
    """Outcomes of earlier decisions that came before this decision."""
    choice: Choice | None = None
    """The policy's choice; None if an outsider decided."""


@dataclass(frozen=True, slots=True)
class AgentHooks:
    """What the caller may replace in an agent."""

    presence: Callable[[Inbox], Presence] | None = None
    """Makes the check of a person's presence; None: a person is present while they use the inbox"""
    clock: Callable[[], datetime] = utc_now
    make_id: Callable[[], str] = new_id
    """Names episodes and decisions"""


class Agent:
    """A workspace's research agent.

    An episode is `config.episode_length` decisions, with goals of its own; knowledge, inbox and proposals remain.
    Several agents may share a workspace at once, each in its own episodes.
    """

    actions = RESEARCH_ACTIONS

    def __init__(
        self,
        store: DecisionStore,
        policy: Policy,
        search: SearchProvider,
        topics: Sequence[str],
        rng: random.Random,
        config: AgentConfig | None = None,
        rewards: RewardTable | None = None,
        hooks: AgentHooks | None = None,
    ) -> None:
        """Begin in a new episode. rewards: the configuration's by default."""
        hooks = hooks or AgentHooks()
        self.config = config or AgentConfig()
        self.policy = policy
        self._make_id = hooks.make_id
        self._store = store
        self._clock = hooks.clock
        database = store.database
        self._goals = GoalBook(database, topics, rng)
        self._curiosity = Curiosity(database, self.config.questions_per_item, self.config.open_questions_limit)
        self._knowledge = KnowledgeBase(database)
        self._queries = QueryLog(database)
        self._inbox = Inbox(database)
        self._queue = ApprovalQueue(database)
        self._review = TrainingReview(database)
        self._search = search
        self._rewards = rewards or make_table(self.config.rewards)
        self._executor = ActionExecutor(
            self._knowledge, self._curiosity, self._inbox, self._queue, search, self.config, self._rewards
        )
        seen = SeenPresence(self._inbox, self.config.presence_window_seconds)
        self._presence = hooks.presence(self._inbox) if hooks.presence else seen
        self._recent: deque[str] = deque(maxlen=self.config.recent_length)
        self._episode = ""
        self._step = 0
        self._idle_turns = 0
        self._vain_turns = 0
        self._situation: Situation | None = None
        self.start_episode()

    @property
    def episode(self) -> str:
        """The episode of the last decision, or of the first if none was made."""
        return self._episode

    def step(self) -> Step:
        """Make a decision, durable before it is carried out, and return it with its outcome."""
        situation = self.observe()
        return self.act(situation, self.policy.decide([situation.state], self.actions)[0])

    def observe(self) -> Situation:
        """Record late outcomes, and return the situation to decide in; begins the next episode if this one is full."""
        if self._step >= self.config.episode_length:
            self.start_episode()
        now = self._clock()
        late = self.settle(now)
        plan = self._plan(now)
        self._situation = Situation(self._render(plan), plan, late, now)
        return self._situation

    def settle(self, now: datetime) -> tuple[Outcome, ...]:
        """Record the late outcomes of earlier decisions, and return them."""
        # One transaction: another agent in this workspace must not settle the same answer.
        with self._store.database.transaction():
            late = tuple(self._executor.settle(now))
            for outcome in late:
                self._store.record_outcome(outcome)
        return late

    def start_episode(self) -> None:
        """Begin an episode now, with new goals; knowledge, inbox and proposals remain."""
        self._episode, self._step = self._make_id(), 0
        self._idle_turns = self._vain_turns = 0
        self._recent.clear()
        self._executor.start_episode()
        now = self._clock()
        for _ in range(self.config.goals_per_episode):
            self._take_up_goal(now)

    def act(self, situation: Situation, choice: Choice) -> Step:
        """Record a policy's choice in the situation last observed, carry it out and record its outcome.

        Raises `ActionError` for a situation that is not the last one observed or is already decided, `DataError` for an
        unknown action.
        """
        return self._act(situation, choice)

    def act_as(self, situation: Situation, action: str, policy: str) -> Step:
        """Do the same with an action that an outsider of this name chose; its probabilities are unknown."""
        return self._act(situation, Outside(action, policy))

    def _act(self, situation: Situation, choice: Choice | Outside) -> Step:
        if situation is not self._situation:
            raise ActionError("this situation is over: call observe() again and decide on what it returns")
        plan, now, action = situation.plan, situation.seen_at, choice.action
        with self._store.database.transaction():
            drafted = draft(
                situation.state,
                self.actions.names,
                choice,
                self._episode,
                id=self._make_id(),
                argument=plan.argument(action),
                decided_at=now,
            )
            (decision,) = record(self._store, [drafted])
            fresh = action != WEB_SEARCH.name or self._queries.claim(plan.query, decision.id, now)
        self._situation = None
        self._step += 1
        outcome, words = self._executor.carry_out(decision, plan, self._clock(), repeated=not fresh)
        self._store.record_outcome(outcome)
        self._idle_turns = self._idle_turns + 1 if action == IDLE.name else 0
        self._vain_turns = 0 if outcome.gained else self._vain_turns + 1
        if action == IDLE.name and not plan.has_fresh:
            self._vain_turns = self.config.patience_turns  # nothing new to do: turn to another goal
        if action != IDLE.name:
            self._recent.append(f"{self.actions[action].words} {words}")
        return Step(decision, outcome, situation.late, choice if isinstance(choice, Choice) else None)

    def _take_up_goal(self, now: datetime) -> Goal:
        """Return a new goal that has a question to ask, if a few draws find any."""
        goal, has_questions = self._begin_goal(now)
        for _ in range(_GOALS_TRIED - 1):
            if has_questions:
                break
            self._goals.close(goal, now, reached=False)
            goal, has_questions = self._begin_goal(now)
        return goal

    def _begin_goal(self, now: datetime) -> tuple[Goal, bool]:
        """Return a new goal and whether it has questions: its own or, if those were asked before, the topic's gaps."""
        goal, questions = self._goals.draw(self._episode, now)
        raised = [self._curiosity.raise_question(text, goal.id, self._episode, goal.title, now) for text in questions]
        return goal, any(raised) or self._curiosity.raise_from_gaps(goal.topic, goal.id, self._episode, now) > 0

    def _current_goal(self, now: datetime) -> Goal:
        """Return the most important goal with work left; a new goal is drawn if there is none."""
        for goal in self._goals.active(self._episode):
            reached = self._curiosity.closed_count(goal.id) >= self.config.questions_per_goal
            stuck = self._vain_turns >= self.config.patience_turns
            if not reached and not stuck and self._curiosity.open_questions(goal.id):
                return goal
            self._goals.close(goal, now, reached)
            if stuck:
                self._vain_turns = 0
            elif self._step:
                # The policy sees the goal once as it ended, with nothing left to search, before the next goal is taken.
                return goal
        return self._take_up_goal(now)

    def _plan(self, now: datetime) -> Plan:
        goal = self._current_goal(now)
        open_questions = self._curiosity.open_questions(goal.id)
        not_asked = [q for q in open_questions if not self._inbox.was_asked(q.text)]
        # A policy may ask though there is nothing to ask about: then at least not the same question again.
        first = next(iter(not_asked), None)
        vain = [q for q in not_asked if q.searches]
        has_room = self._inbox.waiting_count() < self.config.waiting_questions_limit
        to_ask = vain[-1] if vain and has_room else None
        to_search, query = choose_query(goal, open_questions, self._queries.recent())
        proposal, refusal = self._choose_proposal(now)
        return Plan(
            goal=goal,
            query=query,
            to_search=to_search,
            question=to_ask.text if to_ask else (first.text if first else f"What matters about {goal.topic}?"),
            to_ask=to_ask,
            proposal=proposal,
            refusal=refusal,
            here=self._presence.here(now),
            has_fresh=any(not q.searches for q in open_questions),
        )

    def _choose_proposal(self, now: datetime) -> tuple[Proposal, Refusal | None]:
        """Return the proposal that the record supports most among those allowed; else the first, and its refusal."""
        reports = self._search.reports() if isinstance(self._search, SearchChain) else []
        reviewed = [*self._review.proposals(), *review_search(reports)]
        found = candidates(self._executor.record, self.config, reviewed, self._rewards)
        pairs = list(zip(found, self._queue.refusals(found, now, self.config), strict=True))
        return next((pair for pair in pairs if pair[1] is None), pairs[0])

    def _render(self, plan: Plan) -> dict[str, Any]:
        """Return the state: everything that the policy sees before it decides."""
        goal = plan.goal
        fresh = [q for q in self._curiosity.open_questions(goal.id) if not q.searches]
        goals = [goal, *(other for other in self._goals.active(self._episode) if other.id != goal.id)]
        options = {}
        if fresh:
            options[WEB_SEARCH.name] = fresh[0].text + (f" and {len(fresh) - 1} more" if len(fresh) > 1 else "")
        if plan.to_ask:
            options[ASK_HUMAN.name] = f"{plan.to_ask.text} The human is {'here' if plan.here else 'away'}"
        if plan.refusal is None:
            options[PROPOSE_IMPROVEMENT.name] = (
                f"better {plan.proposal.aspect.replace('_', ' ')}, {plan.proposal.reason}"
            )
        return {
            "goals": [
                f"{active.title}, {self._progress(active):.0%} done"
                for active in goals[: self.config.goals_per_episode]
            ],
            "human": "here" if plan.here else "away",
            "knowledge": {"facts": self._knowledge.count(goal.id), "latest": self._knowledge.latest_title(goal.id)},
            "options": [f"{self.actions[name].words}: {text}" for name, text in options.items()] + [IDLE.words],
            "idle_turns": self._idle_turns,
            "recent": list(self._recent),
            "waiting": {"answers": self._inbox.waiting_count(), "approvals": len(self._queue.pending())},
        }

    def _progress(self, goal: Goal) -> float:
        return min(1.0, self._curiosity.closed_count(goal.id) / self.config.questions_per_goal)
