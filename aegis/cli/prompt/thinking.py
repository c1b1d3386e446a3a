"""A decision shown before it is carried out: what the teacher and the HRM give each action. It records nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from aegis import lifecycle
from aegis.cli.display.progress import waiting
from aegis.errors import AegisError, PolicyFailedError
from aegis.rendering import clean_text, render_state
from aegis.types import ActionList, Choice, Policy, Progress, State

if TYPE_CHECKING:
    from aegis.cli.session import Session
    from aegis.lifecycle.policies.resolver import PolicyResolver


class Declined(Exception):
    """The person did not want the decision carried out."""


class DecisionPreview:
    """Shows what the workspace's policy decides, beside what the others would, and asks before it is carried out."""

    def __init__(self, session: Session, confirm: Callable[[str], bool]) -> None:
        self._session = session
        self._confirm = confirm
        self._resolver: PolicyResolver | None = None
        self._policy: Policy | None = None
        self._teacher: Policy | None = None
        self._lacking = ""
        self._loading: Future[None] | None = None

    @property
    def policy(self) -> Policy:
        """The policy that decides now, as `look` found it."""
        if self._policy is None:
            raise PolicyFailedError("no policy is loaded")
        return self._policy

    def look(self) -> None:
        """Load the policies that there are now, and show how far that is; raises `AegisError` when none can decide.

        Ctrl-C ends the wait alone: what is half imported can't be imported again, so the loading goes on in its
        thread, and the next call waits for it.
        """
        try:
            with waiting() as progress, self._session.shows(progress):
                if self._loading is None:
                    self._loading = Future()
                    threading.Thread(target=self._load_aside, args=(self._loading,), daemon=True).start()
                self._loading.result()
        except KeyboardInterrupt:
            print("It is loaded behind the prompt meanwhile; `think` again waits for it.")
            raise
        except BaseException:
            self._loading = None
            raise
        self._loading = None

    def show(self, state: State, actions: ActionList) -> Choice:
        """Show the decision and return it; raises `Declined` unless the person wants it."""
        with waiting() as progress:
            choice, answers = self._ask(state, actions, progress)
        for line in render_state(state).splitlines():
            print(f"  {line}")
        print(f"\n  {'':<20}" + "".join(f"{clean_text(name, 16):>18}" for name in answers))
        for place, action in enumerate(actions.names):
            row = "".join(f"{answer[place]:>18.1%}" for answer in answers.values())
            print(f"  {action:<20}{row}{'  <- ' + choice.policy if action == choice.action else ''}")
        if self._lacking:
            print(f"  ({clean_text(self._lacking, 200)})")
        if not self._confirm(f"Carry out {choice.action}?"):
            raise Declined
        return choice

    def _ask(
        self, state: State, actions: ActionList, progress: Progress
    ) -> tuple[Choice, dict[str, tuple[float, ...]]]:
        """Return the choice that counts, and the probabilities of every policy that can be asked, by its name."""
        from aegis.lifecycle.policies.deferring import DeferringPolicy

        progress(f"{self.policy.name} decides", 0, 0)
        try:
            (choice,) = self.policy.decide([state], actions)
        except Exception as error:
            raise PolicyFailedError(f"{self.policy.name} can't decide: {error}") from error
        alone = self.policy.policy if isinstance(self.policy, DeferringPolicy) else self.policy
        answers: dict[str, tuple[float, ...]] = {}
        for policy in (self._teacher, alone):  # in the order of the screen's columns
            if policy is None or policy.name == choice.policy:
                answers[choice.policy] = choice.probabilities
                continue
            progress(f"{policy.name} decides", 0, 0)
            try:
                answers[policy.name] = policy.decide([state], actions)[0].probabilities
            except Exception as error:
                self._lacking = f"{policy.name} can't be asked: {error}"
        return choice, answers

    def _load_aside(self, loading: Future[None]) -> None:
        try:
            self._load()
        except BaseException as error:  # raised by the thread that waits for this one
            loading.set_exception(error)
        else:
            loading.set_result(None)

    def _load(self) -> None:
        self._lacking = ""
        if self._resolver is None:
            self._resolver = self._session.make_resolver(self._note)
        with lifecycle.open_store(self._session.workspace) as store:  # a thread of its own, a connection of its own
            self._policy = self._resolver.resolve(store)
        try:
            self._teacher = self._resolver.teacher()
        except AegisError as error:  # then an HRM decides
            self._note(f"the teacher can't be asked: {error}")

    def _note(self, line: str) -> None:
        self._lacking = line
