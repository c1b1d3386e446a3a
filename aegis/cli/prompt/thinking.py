"""A decision shown before it is carried out: what the teacher and the HRM give each action. It records nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from aegis import lifecycle
from aegis.cli.display.progress import waiting
from aegis.errors import AegisError, PolicyFailedError
from aegis.rendering import clean_text, render_state
from aegis.types import ActionList, Policy, Progress, State, most_probable

if TYPE_CHECKING:
    from aegis.cli.session import Session


class Declined(Exception):
    """The person did not want the decision carried out."""


class ShownPolicy:
    """Decides as the workspace's policy does, shows what it and the other one say, and asks before it goes on."""

    def __init__(self, session: Session, confirm: Callable[[str], bool]) -> None:
        self._session = session
        self._confirm = confirm
        self._teacher: Policy | None = None
        self._hrm: Policy | None = None
        self._lacking = ""
        self._loading: Future[None] | None = None

    @property
    def name(self) -> str:
        return self._decider.name

    @property
    def parameters(self) -> int:
        return self._decider.parameters

    @property
    def is_hrm(self) -> bool:
        """Whether the HRM decides."""
        return self._hrm is not None

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

    def probabilities(self, states: Sequence[State], actions: ActionList) -> list[tuple[float, ...]]:
        """Show the decision and return its probabilities; raises `Declined` unless the person wants it."""
        with waiting() as progress:
            answers = self._ask(states, actions, progress)
        chosen = answers[self.name]
        for line in render_state(states[0]).splitlines():
            print(f"  {line}")
        print(f"\n  {'':<20}" + "".join(f"{clean_text(name, 16):>18}" for name in answers))
        best = most_probable(chosen)
        for place, action in enumerate(actions.names):
            row = "".join(f"{answer[place]:>18.1%}" for answer in answers.values())
            print(f"  {action:<20}{row}{'  <- ' + self.name if place == best else ''}")
        if self._lacking:
            print(f"  ({clean_text(self._lacking, 200)})")
        if not self._confirm(f"Carry out {actions.names[best]}?"):
            raise Declined
        return [chosen]

    def _ask(self, states: Sequence[State], actions: ActionList, progress: Progress) -> dict[str, tuple[float, ...]]:
        answers: dict[str, tuple[float, ...]] = {}
        for policy in (self._teacher, self._hrm):
            if policy is not None:
                progress(f"{policy.name} decides", 0, 0)
                try:
                    answers[policy.name] = policy.probabilities(states, actions)[0]
                except Exception as error:
                    if policy is self._decider:
                        raise PolicyFailedError(f"{policy.name} can't decide: {error}") from error
                    self._lacking = f"{policy.name} can't be asked: {error}"
        return answers

    def _load_aside(self, loading: Future[None]) -> None:
        try:
            self._load()
        except BaseException as error:  # raised by the thread that waits for this one
            loading.set_exception(error)
        else:
            loading.set_result(None)

    def _load(self) -> None:
        workspace = self._session.workspace
        with lifecycle.open_store(workspace) as store:  # a thread of its own, a connection of its own
            serving = lifecycle.find_serving(store, workspace)
            if (self._hrm.name if self._hrm else None) != (serving.name if serving else None):
                self._hrm = self._session.load_serving(store)
            try:
                self._teacher = self._session.load_teacher(store)
            except AegisError as error:
                if self._hrm is None:
                    raise
                self._lacking = f"the teacher can't be asked: {error}"

    @property
    def _decider(self) -> Policy:
        decider = self._hrm or self._teacher
        if decider is None:
            raise PolicyFailedError("no policy is loaded")
        return decider
