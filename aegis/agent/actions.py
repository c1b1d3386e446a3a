"""The four actions, really carried out, and what came of each; it chooses none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from aegis.agent.curiosity import Curiosity, Question
from aegis.agent.goals import Goal
from aegis.agent.inbox import Inbox
from aegis.agent.knowledge import KnowledgeBase, KnowledgeItem
from aegis.agent.proposals import ApprovalQueue, Proposal, Record
from aegis.agent.rewards import RewardTable
from aegis.agent.search import SearchHit, SearchProvider
from aegis.agent.timeout import TimeLimiter
from aegis.config import AgentConfig
from aegis.errors import AegisError, StoreError
from aegis.rendering import clean_text
from aegis.types import ActionList, ActionSpec, Decision, Outcome

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


@dataclass(frozen=True, slots=True)
class Plan:
    """What each action would be about, were it chosen now."""

    goal: Goal
    query: str
    to_search: Question | None
    """The question that the query is for; None when the goal itself is searched for."""
    question: str
    to_ask: Question | None
    """The question searched for in vain that a person would be asked, or None."""
    proposal: Proposal

    def argument(self, action: str) -> dict[str, str]:
        """Return the argument that the action would be recorded with."""
        if action == WEB_SEARCH.name:
            return {"query": self.query}
        if action == ASK_HUMAN.name:
            return {"question": self.question}
        if action == PROPOSE_IMPROVEMENT.name:
            return {"aspect": self.proposal.aspect}
        return {}


class ActionExecutor:
    """Carries out decisions in the world of one workspace, and settles the outcomes that come late."""

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
        """Carry out a decision; return its outcome and a few words on it for the state of the next ones.

        repeated: its query was asked lately, so that it is not asked again. An action that fails, in whatever way, or
        hangs has a failed outcome with the reason; only what is wrong with the store is raised (`StoreError`).
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
            raise  # what can't be written can't be recorded as failed either
        except Exception as error:  # the world may fail in any way; a run of days goes on
            reason = str(error) if isinstance(error, AegisError) else f"{type(error).__name__}: {error}"
            detail = f"{decision.action.name} failed: {clean_text(reason, _REASON_CHARACTERS)}"
            return Outcome(decision.id, "failed", detail=detail, recorded_at=now), "failed"
        self.record = replace(self.record, idles=self.record.idles + 1)
        return Outcome(decision.id, "ok", reward=self._rewards.idle, detail="did nothing", recorded_at=now), ""

    def _web_search(self, decision: Decision, plan: Plan, now: datetime, repeated: bool) -> tuple[Outcome, str]:
        if repeated:
            self._count_vain_search(plan, now)
            detail = "the same query was asked lately: it is not asked again"
            reward = self._rewards.nothing_found
            return Outcome(decision.id, "failed", reward=reward, detail=detail, recorded_at=now), "found nothing"
        config = self._config
        hits = self._limiter.call(
            self._search.search, plan.query, config.hits_per_search, timeout_seconds=config.action_timeout_seconds
        )
        with self._knowledge.database.transaction():
            gained, raised = self._learn(hits, plan, now)
        self.record = replace(
            self.record,
            searches=self.record.searches + 1,
            vain_searches=self.record.vain_searches + (gained == 0),
            hits=self.record.hits + len(hits),
            known_hits=self.record.known_hits + len(hits) - gained,
        )
        provider = getattr(self._search, "answered_by", "") or self._search.name
        outcome = Outcome(
            decision.id,
            "ok" if gained else "failed",
            gained=gained,
            reward=self._rewards.of_search(gained),
            detail=f"{gained} new of {len(hits)} results, {raised} new questions",
            result={
                "provider": provider,
                "results": [clean_text(hit.title) for hit in hits],
                "new_questions": raised,
            },
            recorded_at=now,
        )
        return outcome, f"found {gained}" if gained else "found nothing"

    def _learn(self, hits: Sequence[SearchHit], plan: Plan, now: datetime) -> tuple[int, int]:
        """Keep what is new of the hits; return how many that were, and how many questions they raised."""
        goal, raised = plan.goal, 0
        new: list[str] = []
        for hit in hits:
            item = KnowledgeItem(hit.topic, hit.title, hit.text, hit.source)
            if self._knowledge.add(item, goal.id, now):
                new.append(item.id)
                raised += self._curiosity.raise_from_text(hit.title, hit.text, goal.id, goal.episode, now, goal.topic)
        if plan.to_search is not None and new:
            self._curiosity.end_question(plan.to_search.id, now, answered=True, items=new)
        elif not new:
            self._count_vain_search(plan, now)
        return len(new), raised

    def _count_vain_search(self, plan: Plan, now: datetime) -> None:
        if plan.to_search is not None:
            self._curiosity.count_search(plan.to_search.id)
            if plan.to_search.searches + 1 > self._config.searches_per_question:
                self._curiosity.end_question(plan.to_search.id, now, answered=False)

    def _ask_human(self, decision: Decision, plan: Plan, now: datetime) -> tuple[Outcome, str]:
        number = self._inbox.ask(decision.id, plan.question, now, self._config.answer_timeout_seconds)
        self.record = replace(self.record, asked=self.record.asked + 1)
        self._asked.add(decision.id)
        detail = f"question {number} waits in the inbox"
        return Outcome(decision.id, "unknown", detail=detail, result={"question": number}, recorded_at=now), "waiting"

    def _propose(self, decision: Decision, plan: Plan, now: datetime) -> tuple[Outcome, str]:
        proposal = plan.proposal
        number = self._queue.propose(decision.id, proposal, now, self._config.approval_timeout_seconds)
        if number is None:
            detail = f"a proposal on {proposal.aspect} is pending already"
            reward = self._rewards.duplicate
            return Outcome(decision.id, "failed", reward=reward, detail=detail, recorded_at=now), "duplicate"
        outcome = Outcome(
            decision.id,
            "ok",
            reward=self._rewards.pending,
            detail=f"proposal {number} waits for approval: {proposal.aspect}, because {proposal.reason}",
            result={"proposal": number, "status": "pending"},
            recorded_at=now,
        )
        return outcome, "pending"

    def settle(self, now: datetime) -> list[Outcome]:
        """Return the outcomes that have come since: answers, questions without one, approvals and rejections.

        The caller records them in the transaction in which it called this; where that is undone, they come again.
        """
        self._inbox.expire(now)
        self._queue.lapse(now)
        outcomes = []
        for asked in self._inbox.unsettled():
            outcomes.append(self._settle_question(asked.decision_id, asked.question, asked.answer, now))
            self._inbox.mark_settled(asked.id)
        for queued in self._queue.unsettled():
            approved = queued.status == "approved"
            self._queue.mark_settled(queued.id)
            outcomes.append(
                Outcome(
                    queued.decision_id,
                    "ok" if approved else "failed",
                    reward=self._rewards.approved if approved else self._rewards.rejected,
                    detail=f"proposal {queued.id} was {queued.status}",
                    result={"proposal": queued.id, "status": queued.status},
                    recorded_at=now,
                )
            )
        return outcomes

    def _settle_question(self, decision_id: str, question: str, answer: str | None, now: datetime) -> Outcome:
        known = self._curiosity.find(question)
        if answer is None:
            if decision_id in self._asked:  # not of an earlier episode, nor of another agent
                self._asked.discard(decision_id)
                self.record = replace(self.record, unanswered=self.record.unanswered + 1)
            if known is not None and known.searches >= self._config.searches_per_question:
                self._curiosity.end_question(known.id, now, answered=False)
            reward = self._rewards.unanswered
            return Outcome(decision_id, "failed", reward=reward, detail="nobody answered in time", recorded_at=now)
        item = KnowledgeItem(topic="told by a person", title=question, text=answer, source="person")
        gained = int(self._knowledge.add(item, goal=known.goal if known else "", found_at=now))
        if known is not None:
            self._curiosity.end_question(known.id, now, answered=True, items=[item.id])
        return Outcome(
            decision_id,
            "ok",
            gained=gained,
            reward=self._rewards.answered,
            detail="a person answered",
            result={"answer": answer},
            recorded_at=now,
        )
