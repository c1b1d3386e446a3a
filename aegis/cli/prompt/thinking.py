"""Shows a decision before it is carried out, with the teacher's and the HRM's probabilities of each action."""

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
    """The person refused to carry out the decision."""


class DecisionPreview:
    """Shows the decision of the workspace's policy beside the other policies', and asks whether to carry it out."""

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
        """The policy that decided at the last `look`."""
        if self._policy is None:
            raise PolicyFailedError("no policy is loaded")
        return self._policy

    def look(self) -> None:
        """Load the present policies, and show the progress; raises `AegisError` if none can decide.

        Ctrl-C ends only the wait: a half-done import can't be repeated, so loading continues in its thread, and the
        next call waits for it.
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
        """Show the decision and return it; raises `Declined` if the person refuses it."""
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
        """Return the choice of the policy that decides, and each policy's probabilities by its name."""
        from aegis.lifecycle.policies.deferring import DeferringPolicy

        progress(f"{self.policy.name} decides", 0, 0)
        try:
            (choice,) = self.policy.decide([state], actions)
        except Exception as error:
            raise PolicyFailedError(f"{self.policy.name} can't decide: {error}") from error
        alone = self.policy.policy if isinstance(self.policy, DeferringPolicy) else self.policy
        answers: dict[str, tuple[float, ...]] = {}
        for policy in (self._teacher, alone):  # in the order of the columns
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
        except BaseException as error:  # the waiting thread raises it
            loading.set_exception(error)
        else:
            loading.set_result(None)

    def _load(self) -> None:
        self._lacking = ""
        if self._resolver is None:
            self._resolver = self._session.make_resolver(self._note)
        with lifecycle.open_store(self._session.workspace) as store:  # each thread needs its own connection
            self._policy = self._resolver.resolve(store)
        try:
            self._teacher = self._resolver.teacher()
        except AegisError as error:  # the HRM may decide without it
            self._note(f"the teacher can't be asked: {error}")

    def _note(self, line: str) -> None:
        self._lacking = line
