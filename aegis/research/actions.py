"""The four actions: carrying each out, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from aegis.config import AgentConfig
from aegis.errors import AegisError, StoreError
from aegis.rendering import clean_text
from aegis.research.inbox import Inbox, InboxQuestion
from aegis.research.memory.curiosity import Curiosity, Question
from aegis.research.memory.goals import Goal
from aegis.research.memory.knowledge import KnowledgeBase, KnowledgeItem
from aegis.research.proposals import ApprovalQueue, Proposal, Record, Refusal
from aegis.research.rewards import RewardTable, total
from aegis.research.search import SearchHit, SearchProvider
from aegis.research.timeout import TimeLimiter
from aegis.types import ActionList, ActionSpec, Decision, Outcome, OutcomeStatus, State

WEB_SEARCH = ActionSpec(
    name="web_search",
    words="search",
    description="look up a new question on the web.",
    argument="query",
)
ASK_HUMAN = ActionSpec(
    name="ask_human",
    words="ask",
    description="ask the human a question that was searched in vain, when the human is here.",
    argument="question",
)
PROPOSE_IMPROVEMENT = ActionSpec(
    name="propose_improvement",
    words="propose",
    description="propose an improvement of the agent to its owner, when results are poor.",
    argument="aspect",
)
IDLE = ActionSpec(
    name="idle",
    words="idle",
    description="wait, when nothing is open or answers and approvals are pending.",
)
RESEARCH_ACTIONS = ActionList((WEB_SEARCH, ASK_HUMAN, PROPOSE_IMPROVEMENT, IDLE))
"""The actions of the research agent, in the order in which their probabilities stand everywhere."""
_REASON_CHARACTERS = 300


def called_for(state: State) -> str:
    """Return `ask_human` where the state says that a person is here and that there is a question to ask; else ''."""
    offered = [str(option).split(":")[0] for option in state.get("options", [])]
    return ASK_HUMAN.name if state.get("human") == "here" and ASK_HUMAN.words in offered else ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The argument that each action would have if it were chosen now."""

    goal: Goal
    query: str
    to_search: Question | None
    """The question that the query is for; None if the goal itself is searched for."""
    question: str
    to_ask: Question | None
    """The question, searched for in vain, to ask a person; or None."""
    proposal: Proposal
    refusal: Refusal | None
    """Why the proposal would be refused, or None."""
    here: bool
    """Whether a person is present."""
    has_fresh: bool
    """Whether an open question was never searched for."""

    def argument(self, action: str) -> dict[str, str]:
        """Return the argument under which the action would be recorded."""
        if action == WEB_SEARCH.name:
            return {"query": self.query}
        if action == ASK_HUMAN.name:
            return {"question": self.question}
        if action == PROPOSE_IMPROVEMENT.name:
            return {"aspect": self.proposal.aspect}
        return {}


class ActionExecutor:
    """Carries out decisions in a workspace's world, and settles the outcomes that come late."""

    def __init__(
        self,
        knowledge: KnowledgeBase,
        curiosity: Curiosity,
        inbox: Inbox,
        queue: ApprovalQueue,
        search: SearchProvider,
        config: AgentConfig,
        rewards: RewardTable,
    ) -> None:
        self._knowledge = knowledge
        self._curiosity = curiosity
        self._inbox = inbox
        self._queue = queue
        self._search = search
        self._config = config
        self._rewards = rewards
        self._limiter = TimeLimiter()
        self.record = Record()
        self._asked: set[str] = set()  # decisions of this episode whose questions are counted in the record

    def start_episode(self) -> None:
        """Forget the counts that proposals are reasoned from."""
        self.record = Record()
        self._asked.clear()

    def carry_out(self, decision: Decision, plan: Plan, now: datetime, repeated: bool = False) -> tuple[Outcome, str]:
        """Carry out a decision; return its outcome and a few words on it for the next states.

        repeated: its query was asked lately, and is not asked again. An action that fails or hangs has a failed outcome
        with the reason; only a fault of the store is raised (`StoreError`).
        """
        self.record = replace(self.record, decisions=self.record.decisions + 1)
        try:
            if decision.action.name == WEB_SEARCH.name:
                return self._web_search(decision, plan, now, repeated)
            if decision.action.name == ASK_HUMAN.name:
                return self._ask_human(decision, plan, now)
            if decision.action.name == PROPOSE_IMPROVEMENT.name:
                return self._propose(decision, plan, now)
        except StoreError:
            raise  # the database can't record it as failed either
        except Exception as error:  # the world may fail in any way; a run of days must continue
            reason = str(error) if isinstance(error, AegisError) else f"{type(error).__name__}: {error}"
            detail = f"{decision.action.name} failed: {clean_text(reason, _REASON_CHARACTERS)}"
            return _outcome(decision.id, "failed", self._rewards.part("failed"), detail, now), "failed"
        self.record = replace(self.record, idles=self.record.idles + (not plan.has_fresh))
        return _outcome(decision.id, "ok", self._rewards.part("idle"), "did nothing", now), ""

    def _web_search(self, decision: Decision, plan: Plan, now: datetime, repeated: bool) -> tuple[Outcome, str]:
        if repeated:
            self._count_vain_search(plan, now)
            detail = "the same query was asked lately: it is not asked again"
            return _outcome(decision.id, "failed", self._rewards.of_search(0), detail, now), "found nothing"
        config = self._config
        hits = self._ask(plan.query)[: config.hits_per_search]
        with self._knowledge.database.transaction():
            new, raised = self._learn(hits, plan, now)
        gained = len(new)
        self.record = replace(
            self.record,
            searches=self.record.searches + 1,
            vain_searches=self.record.vain_searches + (gained == 0),
            hits=self.record.hits + len(hits),
            known_hits=self.record.known_hits + len(hits) - gained,
        )
        provider = getattr(self._search, "answered_by", "") or self._search.name
        outcome = _outcome(
            decision.id,
            "ok" if gained else "failed",
            self._rewards.of_search(len({(hit.source, hit.title) for hit in new})),
            f"{gained} new of {len(hits)} results, {raised} new questions",
            now,
            gained=gained,
            result={
                "provider": provider,
                "results": [clean_text(hit.title) for hit in hits],
                "new_questions": raised,
            },
        )
        return outcome, f"found {gained}" if gained else "found nothing"

    def _ask(self, query: str) -> Sequence[SearchHit]:
        limit, seconds = self._config.hits_per_search, self._config.action_timeout_seconds
        if getattr(self._search, "never_hangs", False):
            return self._search.search(query, limit)
        return self._limiter.call(self._search.search, query, limit, timeout_seconds=seconds)

    def _learn(self, hits: Sequence[SearchHit], plan: Plan, now: datetime) -> tuple[list[SearchHit], int]:
        """Keep the hits that are new; return these, and the number of questions they raised."""
        goal, raised = plan.goal, 0
        new: list[SearchHit] = []
        items: list[str] = []
        for hit in hits:
            item = KnowledgeItem(hit.topic, hit.title, hit.text, hit.source)
            if self._knowledge.add(item, goal.id, now):
                new.append(hit)
                items.append(item.id)
                raised += self._curiosity.raise_from_text(hit.title, hit.text, goal.id, goal.episode, now, goal.topic)
        if plan.to_search is not None and new:
            self._curiosity.end_question(plan.to_search.id, now, answered=True, items=items)
        elif not new:
            self._count_vain_search(plan, now)
        return new, raised

    def _count_vain_search(self, plan: Plan, now: datetime) -> None:
        if plan.to_search is not None:
            self._curiosity.count_search(plan.to_search.id)
            if plan.to_search.searches + 1 > self._config.searches_per_question:
                self._curiosity.end_question(plan.to_search.id, now, answered=False)

    def _ask_human(self, decision: Decision, plan: Plan, now: datetime) -> tuple[Outcome, str]:
        refusal = ""
        if self._inbox.was_asked(plan.question):
            refusal = "the same question was asked lately: it is not asked again"
        elif self._inbox.waiting_count() >= self._config.waiting_questions_limit:
            refusal = "enough questions wait in the inbox: no further question is asked"
        if refusal:
            return _outcome(decision.id, "failed", self._rewards.part("repeated"), refusal, now), "refused"
        number = self._inbox.ask(decision.id, plan.question, now, self._config.answer_timeout_seconds, not plan.here)
        if plan.to_ask is not None and plan.here:
            self.record = replace(self.record, asked=self.record.asked + 1)
            self._asked.add(decision.id)
        detail = f"question {number} waits in the inbox"
        return Outcome(decision.id, "unknown", detail=detail, result={"question": number}, recorded_at=now), "waiting"

    def _propose(self, decision: Decision, plan: Plan, now: datetime) -> tuple[Outcome, str]:
        proposal = plan.proposal
        refusal, number = plan.refusal, None
        if refusal is None:
            number = self._queue.propose(decision.id, proposal, now, self._config.approval_timeout_seconds)
            if number is None:  # another agent was faster
                refusal = Refusal("duplicate", f"a proposal on {proposal.aspect} is pending already")
        if refusal is not None:
            components = self._rewards.part(refusal.kind)
            return _outcome(decision.id, "failed", components, refusal.reason, now), refusal.kind
        self.start_episode()  # the proposal has used up its evidence
        outcome = _outcome(
            decision.id,
            "ok",
            self._rewards.part("pending"),
            f"proposal {number} waits for approval: {proposal.aspect}, because {proposal.reason}",
            now,
            result={"proposal": number, "status": "pending"},
        )
        return outcome, "pending"

    def settle(self, now: datetime) -> list[Outcome]:
        """Return the outcomes that came late: answers, questions without an answer, approvals and rejections.

        The caller records them in the transaction of this call; if that is undone, the next call returns them again.
        """
        self._inbox.expire(now)
        self._queue.lapse(now)
        outcomes = []
        for asked in self._inbox.unsettled():
            outcomes.append(self._settle_question(asked, now))
            self._inbox.mark_settled(asked.id)
        for queued in self._queue.unsettled():
            approved = queued.status == "approved"
            self._queue.mark_settled(queued.id)
            outcomes.append(
                _outcome(
                    queued.decision_id,
                    "ok" if approved else "failed",
                    self._rewards.part(queued.status),
                    f"proposal {queued.id} was {queued.status}" + (f": {queued.note}" if queued.note else ""),
                    now,
                    result={"proposal": queued.id, "status": queued.status},
                )
            )
        return outcomes

    def _settle_question(self, asked: InboxQuestion, now: datetime) -> Outcome:
        known, decision_id = self._curiosity.find(asked.question), asked.decision_id
        components = self._rewards.of_question(asked.answer is not None, asked.asked_away)
        if asked.answer is None:
            if decision_id in self._asked:  # not from an earlier episode or another agent
                self._asked.discard(decision_id)
                self.record = replace(self.record, unanswered=self.record.unanswered + 1)
            if known is not None and known.searches >= self._config.searches_per_question:
                self._curiosity.end_question(known.id, now, answered=False)
            return _outcome(decision_id, "failed", components, "nobody answered in time", now)
        item = KnowledgeItem(topic="told by a person", title=asked.question, text=asked.answer, source="person")
        gained = int(self._knowledge.add(item, goal=known.goal if known else "", found_at=now))
        if known is not None:
            self._curiosity.end_question(known.id, now, answered=True, items=[item.id])
        result = {"answer": asked.answer}
        return _outcome(decision_id, "ok", components, "a person answered", now, gained=gained, result=result)


def _outcome(
    decision_id: str,
    status: OutcomeStatus,
    components: Mapping[str, float],
    detail: str,
    now: datetime,
    gained: int = 0,
    result: Mapping[str, Any] | None = None,
) -> Outcome:
    """Return an outcome whose reward is the sum of its components."""
    return Outcome(decision_id, status, gained, total(components), detail, result or {}, now, components)
