"""Carries out the commands of the prompt. `repl` reads the lines."""

from __future__ import annotations

import contextlib
import difflib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aegis import lifecycle
from aegis.cli.display.block import describe_agent, describe_collected, training_block
from aegis.cli.display.output import WHOLE_CHARACTERS
from aegis.cli.prompt.thinking import DecisionPreview, Declined
from aegis.errors import ActionError, AegisError, PolicyFailedError
from aegis.lifecycle.lock import is_held
from aegis.lifecycle.milestone import describe_phase
from aegis.rendering import clean_text, counted
from aegis.research import ApprovalQueue, Inbox
from aegis.research import run as research_run
from aegis.research.run import conversation
from aegis.research.run.setting_trial import SettingSupervisor
from aegis.store import DecisionStore
from aegis.types import Action, Outcome, utc_now
from aegis.workspace import MODEL_PREFIXES

if TYPE_CHECKING:
    from aegis.cli.session import Session
    from aegis.research import Agent
    from aegis.research.memory.knowledge import KnownItem
    from aegis.research.search import SearchChain

_TEXT_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A command's entry in `help`."""

    name: str
    example: str
    summary: str


COMMANDS = (
    CommandSpec("start", "start", "let the agent run by itself, or go on after a pause"),
    CommandSpec("stop", "stop", "stop the agent; its next start goes on from here"),
    CommandSpec("status", "status", "what the agent does, in a few lines"),
    CommandSpec("training", "training", "where the training of the HRM stands"),
    CommandSpec("goals", "goals", "what the agent works on"),
    CommandSpec("knowledge", "knowledge sqlite wal", "what the agent knows, newest first or by words"),
    CommandSpec("pending", "pending", "questions and proposals that wait for you"),
    CommandSpec("think", "think", "show the next decision, and carry it out if you say so"),
    CommandSpec("ask", "ask What is WAL?", "look in the agent's knowledge, and let it find out more"),
    CommandSpec("tell", "tell Our database runs in WAL mode", "let the agent know a fact"),
    CommandSpec("answer", "answer 3 It is a log written ahead", "answer a question of the agent's"),
    CommandSpec("approve", "approve 2", "approve a proposal"),
    CommandSpec("reject", "reject 2", "reject a proposal"),
    CommandSpec("models", "models", "every HRM that was kept, its figures, who let it serve and why"),
    CommandSpec("rollback", "rollback hrm@1 odd answers", "back to an earlier HRM, the last good one, or `teacher`"),
    CommandSpec("history", "history 20", "the last decisions with their outcomes"),
    CommandSpec("export", "export decisions.jsonl.gz", "write the teacher's decisions to a file"),
    CommandSpec("help", "help ask", "this list, or one command's line"),
    CommandSpec("quit", "quit", "stop the agent and leave"),
)


class PromptCommands:
    """Carries out typed commands on the workspace of a session.

    confirm: asks the person a question, and returns whether the answer is yes.
    """

    def __init__(self, session: Session, store: DecisionStore, confirm: Callable[[str], bool]) -> None:
        self._session = session
        self._store = store
        self._inbox = Inbox(store.database)
        self._queue = ApprovalQueue(store.database)
        self._thinker: Agent | None = None
        self._preview = DecisionPreview(session, confirm)
        self._search: SearchChain | None = None
        self._settings = SettingSupervisor(store.database, session.options.agent, session.options.run.approve)

    def greeting(self, paused: bool) -> str:
        """Return the first lines of the prompt: the phase, the decisions, who decides."""
        standing = research_run.read_agent_standing(self._session.workspace)
        lines = [
            f"AEGIS in {standing.workspace}: {describe_phase(standing)}",
            f"{counted(standing.decisions, 'decision')} recorded, by the teacher: {describe_collected(standing)};"
            f" {standing.serving or 'nobody yet'} decides",
        ]
        if paused:
            lines.append("Paused. `start` resumes, `quit` leaves; a training goes on meanwhile.")
        else:
            lines.append("`help` lists the commands; `start` lets the agent run.")
        return "\n".join(lines)

    def carry_out(self, line: str) -> None:
        """Carry out one line; an error is printed as one line."""
        name, _, rest = line.strip().partition(" ")
        if not name:
            return
        if name == "?":
            name = "help"
        if name.lower() not in {spec.name for spec in COMMANDS}:
            print(_no_command(name))
            return
        self._inbox.note_person(utc_now())
        try:
            getattr(self, f"_{name.lower()}")(rest.strip())
        except AegisError as error:
            print(clean_text(f"error: {error}", WHOLE_CHARACTERS))

    def _help(self, rest: str) -> None:
        wanted = rest.lower()
        if wanted and wanted not in {spec.name for spec in COMMANDS}:
            print(_no_command(rest))
        for spec in COMMANDS:
            if not wanted or spec.name == wanted:
                print(f"  {spec.name:<10} {spec.summary}\n{'':13}e.g. {spec.example}")

    def _start(self, rest: str) -> None:
        if self._session.alive:
            was_paused = self._session.paused
            self._session.start()
            print("resumed" if was_paused else "the agent runs already")
            return
        if is_held(self._session.workspace.agent_lock):
            print("another process runs the agent in this workspace: `status` shows it")
            return
        self._session.start()
        print("the agent runs: `status` shows what it does, `stop` stops it")

    def _stop(self, rest: str) -> None:
        if not self._session.alive:
            print("no agent of this prompt runs")
        elif self._session.stop():
            print("stopped: everything recorded is kept")
        else:
            print("it stops after the decision that it is at")

    def _status(self, rest: str) -> None:
        standing = research_run.read_agent_standing(self._session.workspace)
        if self._session.paused and not standing.doing.startswith("paused"):
            standing = replace(standing, doing=f"paused after this: {standing.doing}")
        print(f"  Phase:     {describe_phase(standing)}")
        print(f"  Agent:     {describe_agent(standing)}")
        print(f"  Decides:   {standing.serving or 'nobody yet'}")
        print(f"  Decisions: {standing.decisions}, by the teacher: {describe_collected(standing)}")
        questions, proposals = len(self._inbox.waiting()), len(self._queue.pending())
        print(f"  Waiting:   {counted(questions, 'question')}, {counted(proposals, 'proposal')}")
        if self._session.error is not None and not self._session.alive:
            print(clean_text(f"  It ended:  {self._session.error}", WHOLE_CHARACTERS))

    def _training(self, rest: str) -> None:
        print("\n".join(training_block(research_run.read_agent_standing(self._session.workspace))))

    def _goals(self, rest: str) -> None:
        views = conversation.recent_goals(self._store.database)
        needed = self._session.options.agent.questions_per_goal
        for view in views:
            counts = f"{view.closed} answered, {view.open} open, {view.abandoned} given up"
            print(f"  [{view.status}] {clean_text(view.goal.title)}: {view.progress(needed):.0%} done")
            print(f"    {view.goal.kind}, priority {view.goal.priority:.2f}; questions: {counts}")
        if not views:
            print("no goals yet: `start` or `think` sets the first ones")

    def _knowledge(self, rest: str) -> None:
        items = conversation.find_knowledge(self._store.database, rest)
        for known in items:
            _print_item(known)
        if not items:
            print("nothing found" if rest else "nothing known yet")

    def _pending(self, rest: str) -> None:
        now = utc_now()
        self._inbox.expire(now)
        self._queue.lapse(now)
        waiting, proposals = self._inbox.waiting(), self._queue.pending()
        waits = "waits" if len(waiting) == 1 else "wait"
        print(f"{counted(len(waiting), 'question')} {waits} for an answer (answer NUMBER TEXT):")
        for asked in waiting:
            print(f"  {asked.id}: {clean_text(asked.question)}  (until {asked.due_at:%Y-%m-%d %H:%M:%S} UTC)")
        waits = "waits" if len(proposals) == 1 else "wait"
        print(f"{counted(len(proposals), 'proposal')} {waits} for approval (approve NUMBER, reject NUMBER):")
        for queued in proposals:
            print(f"  {queued.id}: {queued.words}, because {clean_text(queued.reason)}")
        for queued in self._queue.decided():
            print(f"  approved: {queued.id}: {queued.words} ({clean_text(queued.effect)})")

    def _think(self, rest: str) -> None:
        self._preview.look()
        thinker = self._thinking_agent()
        if not is_held(self._session.workspace.agent_lock):
            conversation.adopt_goals(self._store.database, thinker.episode)
        try:
            situation = thinker.observe()
            choice = self._preview.show(situation.state, thinker.actions)
            if choice.kind == "hrm" and lifecycle.is_learning(self._store):
                # The action was not drawn. Phase 4 must not learn from its probabilities, so they are not recorded.
                step = thinker.act_as(situation, choice.action, choice.policy)
            else:
                step = thinker.act(situation, choice)
        except Declined:
            print("not carried out, and not recorded")
        except PolicyFailedError as error:
            print(clean_text(f"error: {error}", WHOLE_CHARACTERS))
        else:
            done = f"{_describe(step.decision.action)}: {step.outcome.status}, {step.outcome.detail}"
            print(f"✓ {clean_text(done, WHOLE_CHARACTERS)}")

    def _thinking_agent(self) -> Agent:
        """Return the agent that makes the steps of `think`; after a change of settings, a new agent."""
        if self._search is None:
            self._search = self._session.make_search()
        if self._settings.take_change() or self._thinker is None:
            seed, config = random.SystemRandom().randrange(2**32), self._session.options.agent
            self._thinker = research_run.make_agent(self._store, self._preview.policy, self._search, seed, config)
        return self._thinker

    def _ask(self, rest: str) -> None:
        known = conversation.find_knowledge(self._store.database, rest, limit=3) if rest else []
        for item in known:
            _print_item(item)
        new = conversation.ask(self._store.database, rest, utc_now())
        if new:
            print("the agent takes it up as its most important question" + (", too" if known else ""))
        else:
            print("that question was raised before")

    def _tell(self, rest: str) -> None:
        new = conversation.tell(self._store.database, rest, utc_now())
        print("✓ now it knows" if new else "it knew that already")

    def _answer(self, rest: str) -> None:
        number, text = self._number("answer", rest)
        self._inbox.answer(number, text, utc_now())
        print(f"✓ question {number} answered: the agent reads it at its next decision")

    def _approve(self, rest: str) -> None:
        self._decide("approve", rest)

    def _reject(self, rest: str) -> None:
        self._decide("reject", rest)

    def _decide(self, name: str, rest: str) -> None:
        number, _ = self._number(name, rest)
        effect = self._queue.decide(number, name == "approve", utc_now())
        done = "approved" if name == "approve" else "rejected"
        print(f"✓ proposal {number} {done} ({effect}): the agent learns it at its next decision")

    def _models(self, rest: str) -> None:
        from aegis.cli.commands.models import models

        _as_command(lambda: models(self._session.workspace.folder))

    def _rollback(self, rest: str) -> None:
        from aegis.cli.commands.models import TEACHER, rollback

        first, _, others = rest.partition(" ")
        named = first == TEACHER or first.startswith(MODEL_PREFIXES)
        reason = (others if named else rest).strip()
        if not reason:
            example = next(spec.example for spec in COMMANDS if spec.name == "rollback")
            raise ActionError(f"rollback: say why, it is kept in the record, e.g. {example}")
        _as_command(lambda: rollback(first if named else None, self._session.workspace.folder, reason=reason))

    def _history(self, rest: str) -> None:
        count = self._number("history", rest)[0] if rest else 10
        recent = self._store.recent(count)
        if not recent:
            print("no decisions yet: `start` lets the agent make some")
        for example in reversed(recent):
            decision, outcome = example.decision, example.outcome
            came = "nothing recorded" if outcome is None else f"{outcome.status}{_reward(outcome)}, {outcome.detail}"
            text = f"{decision.policy}: {_describe(decision.action)}: {came}"
            print(f"  {decision.decided_at:%m-%d %H:%M:%S} {clean_text(text, WHOLE_CHARACTERS)}")

    def _export(self, rest: str) -> None:
        if not rest:
            raise ActionError("export: name a file, e.g. export decisions.jsonl.gz")
        if not self._store.count():
            raise ActionError("export: no decisions yet: `start` lets the agent make some")
        from aegis.cli.commands.decisions.exporting import export

        _as_command(lambda: export(Path(rest).expanduser(), self._session.workspace.folder))

    def _number(self, name: str, rest: str) -> tuple[int, str]:
        first, _, text = rest.partition(" ")
        if not first.isdecimal() or int(first) < 1:
            example = next(spec.example for spec in COMMANDS if spec.name == name)
            raise ActionError(f"{name}: give a number from 1, e.g. {example}")
        return int(first), text.strip()


def _no_command(name: str) -> str:
    """Return the message for an unknown command, with the command that was likely meant."""
    close = difflib.get_close_matches(name.lower(), [spec.name for spec in COMMANDS], n=1)
    meant = f"did you mean `{close[0]}`? " if close else ""
    return f"no command {clean_text(name, 40)!r}: {meant}`help` lists them"


def _as_command(carry_out: Callable[[], None]) -> None:
    """Carry out a command of the command line without leaving the prompt when the command fails and exits."""
    with contextlib.suppress(typer.Exit, typer.Abort):
        carry_out()


def _describe(action: Action) -> str:
    return " ".join([action.name, *action.argument.values()])


def _reward(outcome: Outcome) -> str:
    """Return an outcome's reward with its parts; '' without a reward."""
    if outcome.reward is None:
        return ""
    parts = ", ".join(f"{name.replace('_', ' ')} {value:+g}" for name, value in outcome.components.items())
    return f", reward {outcome.reward:+g}" + (f" ({parts})" if parts else "")


def _print_item(known: KnownItem) -> None:
    item = known.item
    found = f"{clean_text(item.topic, 40)}; {clean_text(item.source, 60)}; {known.found_at:%Y-%m-%d %H:%M} UTC"
    print(f"  {clean_text(item.title, 80)}  ({found})")
    print(f"    {clean_text(item.text, _TEXT_CHARACTERS)}")
