"""Proposals to change the agent's own settings: drawn from its record, queued for a person's approval.

The `SettingBook` applies an approved proposal; the next training judges a change on trial.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from aegis.config import AgentConfig
from aegis.errors import ActionError
from aegis.rendering import clean_text, counted
from aegis.research.rewards import RewardTable
from aegis.research.setting import SETTINGS, Setting, SettingBook, Value
from aegis.store import Database

_LEAST_VAIN = 3
"""Vain searches since the last proposal below which no proposal is reasoned from them."""
_LEAST_SHARE = 0.25
_LEAST_UNANSWERED = 6
_LEAST_IDLES = 6
_MOSTLY = 0.7
"""Share of an episode from which on its rewards are questioned, too."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change of a setting, with the reason from the agent's own record."""

    aspect: str
    """Name of the setting, one of `SETTINGS`."""
    old: Value
    new: Value
    reason: str
    weight: float
    """How strongly the record supports it, from 0 (not at all) to 1."""


@dataclass(frozen=True, slots=True)
class QueuedProposal:
    """A proposal in the approval queue."""

    id: int
    decision_id: str
    aspect: str
    change: dict[str, Any]
    reason: str
    status: str
    effect: str
    """The effect of an approved proposal, in words; '' before that"""
    due_at: datetime
    """When it lapses"""
    note: str = ""
    """What the person who decided wrote about it"""

    @property
    def words(self) -> str:
        """The change in words, e.g. `epochs from 20 to 30`."""
        return clean_text("{setting} from {from} to {to}".format_map(self.change))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a proposal is refused."""

    kind: Literal["duplicate", "unfounded"]
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """The agent's counts in this episode since its last proposal, by which it judges itself.

    A proposal uses up its evidence: the next one needs new evidence.
    """

    searches: int = 0
    vain_searches: int = 0
    known_hits: int = 0
    """Search hits that were already known."""
    hits: int = 0
    asked: int = 0
    """Questions put to a person who was present, after a vain search."""
    unanswered: int = 0
    idles: int = 0
    """Decisions to idle while there was nothing new to search for."""
    decisions: int = 0


def candidates(
    record: Record, config: AgentConfig, reviewed: Sequence[Proposal] = (), rewards: RewardTable | None = None
) -> list[Proposal]:
    """Return a proposal per aspect, the best supported first.

    reviewed: proposals from elsewhere, such as the last training's figures. A value at its bound is not proposed. Nor
    is a change that only a few cases support: an agent could make them up.
    """
    rewards = rewards or RewardTable()

    def share(part: int, whole: int, enough: bool) -> float:
        found = part / whole if whole else 0.0
        return found if enough and found >= _LEAST_SHARE else 0.0

    enough = record.vain_searches >= _LEAST_VAIN
    vain, known = share(record.vain_searches, record.searches, enough), share(record.known_hits, record.hits, enough)
    silent = share(record.unanswered, record.asked, record.unanswered >= _LEAST_UNANSWERED)
    idle = share(record.idles, record.decisions, record.idles >= _LEAST_IDLES)
    found = [
        Proposal(
            "hits_per_search",
            config.hits_per_search,
            config.hits_per_search + 2,
            f"{record.vain_searches} of {record.searches} searches found nothing new",
            vain,
        ),
        Proposal(
            "open_questions_limit",
            config.open_questions_limit,
            config.open_questions_limit * 2,
            f"{record.known_hits} of {record.hits} results were known already",
            known,
        ),
        Proposal(
            "answer_timeout_seconds",
            config.answer_timeout_seconds,
            config.answer_timeout_seconds * 2,
            f"{record.unanswered} of {record.asked} questions stayed unanswered",
            silent,
        ),
        Proposal(
            "questions_per_item",
            config.questions_per_item,
            config.questions_per_item + 1,
            f"{record.idles} of {record.decisions} decisions did nothing",
            idle,
        ),
        *reviewed,
    ]
    if idle > _MOSTLY:
        reason = f"{record.idles} of {record.decisions} decisions did nothing"
        found.append(Proposal("reward_idle", rewards.idle, rewards.idle * 2, reason, idle / 2))
    if vain > _MOSTLY:
        reason = f"{record.vain_searches} of {record.searches} searches found nothing new"
        found.append(
            Proposal("reward_nothing_found", rewards.nothing_found, rewards.nothing_found * 2, reason, vain / 2)
        )
    return sorted(map(_bounded, found), key=lambda proposal: -proposal.weight)


def _bounded(proposal: Proposal) -> Proposal:
    setting, new = SETTINGS[proposal.aspect], proposal.new
    if isinstance(setting, Setting) and not isinstance(new, str):
        new = setting.clamp(new)
    return replace(proposal, new=new, weight=0.0 if new == proposal.old else proposal.weight)


class ApprovalQueue:
    """A workspace's proposals. At most one per aspect is pending; a proposal that nobody decides in time lapses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def propose(self, decision_id: str, proposal: Proposal, now: datetime, timeout_seconds: float) -> int | None:
        """Queue a proposal; return its number, or None if a proposal on the same aspect is pending."""
        due = now + timedelta(seconds=timeout_seconds)
        change = json.dumps({"setting": proposal.aspect, "from": proposal.old, "to": proposal.new})
        with self._database.transaction() as connection:
            twin = connection.execute(
                "SELECT id FROM proposals WHERE aspect = ? AND status = 'pending'", (proposal.aspect,)
            ).fetchone()
            if twin is not None:
                return None
            row = connection.execute(
                "INSERT INTO proposals (decision_id, aspect, change, reason, proposed_at, due_at)"
                " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
                (decision_id, proposal.aspect, change, proposal.reason, now.isoformat(), due.isoformat()),
            )
            return int(row.fetchall()[0]["id"])

    def decide(self, number: int, approve: bool, now: datetime, by: str = "person", note: str = "") -> str:
        """Approve or reject a pending proposal; return the effect in words.

        by: `person`, or `rule` if nobody was asked. A rule's decision brings no outcome of its own, and is settled at
        once. note: why, in the decider's words. Raises `ActionError` if no proposal of this number is pending, or if
        its value is out of bounds.
        """
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE proposals SET status = ?, decided_at = ?, decided_by = ?, settled = ?, note = ?"
                " WHERE id = ? AND status = 'pending'",
                (
                    "approved" if approve else "rejected",
                    now.isoformat(),
                    by,
                    int(by == "rule"),
                    clean_text(note),
                    number,
                ),
            )
            if changed.rowcount == 0:
                raise ActionError(
                    f"proposal {number} is not pending: `pending` (or `aegis inbox`) lists those that are"
                )
            if not approve:
                return "nothing is changed"
            (queued,) = self._select("id = ?", (number,))
            change = queued.change
            effect = SettingBook(self._database).change(change["setting"], change["to"], change["from"], number, now)
            connection.execute("UPDATE proposals SET effect = ? WHERE id = ?", (effect, number))
            return effect

    def decided(self, limit: int = 5) -> list[QueuedProposal]:
        """Return the newest approved proposals, the newest first."""
        return self._select("status = 'approved'", order=f"decided_at DESC LIMIT {int(limit)}")

    def lapse(self, now: datetime) -> None:
        """End the proposals whose time is over."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE proposals SET status = 'lapsed', decided_at = ? WHERE status = 'pending' AND due_at <= ?",
                (now.isoformat(), now.isoformat()),
            )

    def refusals(self, proposals: Sequence[Proposal], now: datetime, config: AgentConfig) -> list[Refusal | None]:
        """Return for each proposal why it is refused now, or None if it is allowed."""
        waiting = {proposal.aspect for proposal in self.pending()}
        since = now - timedelta(seconds=config.proposal_rest_seconds)
        rows = self._database.query("SELECT aspect, change FROM proposals WHERE proposed_at > ?", (since.isoformat(),))
        lately = {(row["aspect"], json.dumps(json.loads(row["change"])["to"])) for row in rows}

        def refuse(proposal: Proposal) -> Refusal | None:
            if proposal.aspect in waiting:
                return Refusal("duplicate", f"a proposal on {proposal.aspect} is pending already")
            if (proposal.aspect, json.dumps(proposal.new)) in lately:
                return Refusal("duplicate", f"the same value of {proposal.aspect} was proposed lately")
            if proposal.weight <= 0:
                return Refusal("unfounded", f"the record does not speak for another {proposal.aspect}")
            if len(waiting) >= config.waiting_proposals_limit:
                return Refusal("unfounded", f"{counted(len(waiting), 'proposal')} already waiting for a person")
            return None

        return [refuse(proposal) for proposal in proposals]

    def pending(self) -> list[QueuedProposal]:
        """Return the pending proposals, the oldest first."""
        return self._select("status = 'pending'")

    def unsettled(self) -> list[QueuedProposal]:
        """Return the proposals that a person decided and that are not yet marked as settled (`mark_settled`)."""
        return self._select("settled = 0 AND status IN ('approved', 'rejected')")

    def mark_settled(self, number: int) -> None:
        """Mark a decided proposal as settled, in the transaction that records its outcome."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE proposals SET settled = 1 WHERE id = ?", (number,))

    def _select(self, where: str, values: Sequence[Any] = (), order: str = "id") -> list[QueuedProposal]:
        rows = self._database.query(
            "SELECT id, decision_id, aspect, change, reason, status, effect, due_at, note FROM proposals"
            f" WHERE {where} ORDER BY {order}",
            values,
        )
        return [
            QueuedProposal(
                row["id"],
                row["decision_id"],
                row["aspect"],
                json.loads(row["change"]),
                row["reason"],
                row["status"],
                row["effect"],
                datetime.fromisoformat(row["due_at"]),
                row["note"],
            )
            for row in rows
        ]
