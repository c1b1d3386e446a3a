"""The prompt: reads lines and passes them to `PromptCommands` until the person leaves."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import Any, Literal

from aegis.cli.display.output import WHOLE_CHARACTERS
from aegis.cli.display.progress import ProgressLines
from aegis.cli.interrupt import imports_spared
from aegis.errors import AegisError

PROMPT = "aegis> "
_TOLD = (
    "started",
    "training_started",
    "epoch",
    "training_ended",
    "switched",
    "monitor",
    "stage",
    "policy_failed",
    "policy_back",
    "setting",
    "broke",
)
"""Events that the prompt shows while the agent runs behind it; `history` shows single decisions"""
_TERMINATED = 128 + signal.SIGTERM
_LAST_RESORT_SECONDS = 4.5
_LOOK_SECONDS = 2.0

Ending = Literal["quit", "resume"]


class Repl:
    """Reads commands and has them carried out until the person leaves.

    returns_on_start: end with "resume" on `start`, for a paused command that shows the agent itself.
    """

    def __init__(self, session: Any, returns_on_start: bool = False) -> None:
        self._session = session
        self._returns_on_start = returns_on_start
        self._reader: Any = None
        self._terminated = False
        self._left = threading.Event()

    def run(self) -> Ending:
        """Read and carry out commands; return how the prompt ended."""
        from aegis import lifecycle
        from aegis.cli.prompt.command import PromptCommands

        lines = ProgressLines(partial(print, flush=True))
        with (
            lifecycle.open_store(self._session.workspace) as store,
            self._signals(),
            lines,
            self._session.shows(lines),
        ):
            commands = PromptCommands(self._session, store, self._confirm)
            if not self._returns_on_start:
                self._session.listen(self._tell)
            print(commands.greeting(paused=self._returns_on_start), flush=True)
            self._announce(store.database)
            try:
                return self._converse(commands)
            finally:
                self._left.set()

    def _converse(self, commands: Any) -> Ending:
        interrupts = 0
        while True:
            try:
                line = self._read(PROMPT)
            except EOFError:
                return self._quit()
            except KeyboardInterrupt:
                interrupts += 1
                # If Ctrl-C opened the prompt, this is the second Ctrl-C.
                if self._returns_on_start or interrupts > 1:
                    return self._quit()
                print("Ctrl-C again, or quit, leaves")
                continue
            interrupts = 0
            name = line.split(maxsplit=1)[0].lower() if line.strip() else ""
            if name in ("quit", "exit"):
                return self._quit()
            if name == "start" and self._returns_on_start:
                return "resume"
            with contextlib.suppress(KeyboardInterrupt):
                commands.carry_out(line)
            if self._terminated:
                return self._quit()

    def _announce(self, database: Any) -> None:
        """Announce waiting questions and proposals, now and, in a terminal, as they come from any process's agent."""
        from aegis import lifecycle
        from aegis.research.run.waiting import Herald

        herald = Herald(lambda one, now: print(one.announce(now, one.how()), flush=True))
        herald.look(database)

        def look_on() -> None:
            while not self._left.wait(_LOOK_SECONDS):
                # If the database is busy, the next look will do.
                with contextlib.suppress(AegisError), lifecycle.open_store(self._session.workspace) as store:
                    herald.look(store.database)

        if sys.stdin.isatty():
            threading.Thread(target=look_on, name="herald", daemon=True).start()

    def _quit(self) -> Ending:
        print("Leaving. Everything recorded is kept.", flush=True)
        if self._terminated:
            self._session.leave(_TERMINATED)
        return "quit"

    def _read(self, text: str) -> str:
        if self._terminated:
            raise EOFError
        if not sys.stdin.isatty():
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            return line
        if self._reader is None:
            self._reader = self._make_reader()
        from prompt_toolkit.patch_stdout import patch_stdout

        # Only while the prompt waits: output of other threads goes above it. A command's own output is not redirected.
        with patch_stdout(raw=True):
            return str(self._reader.prompt(text))

    def _make_reader(self) -> Any:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import FileHistory

        from aegis.cli.prompt.completion import CommandCompleter

        folder = self._session.workspace.folder
        return PromptSession(
            history=FileHistory(str(folder / "prompt-history")),
            completer=CommandCompleter(self._session.workspace),
            complete_while_typing=False,
        )

    def _confirm(self, question: str) -> bool:
        """Ask a yes-or-no question; any answer but yes is no."""
        try:
            if sys.stdin.isatty():
                from prompt_toolkit import PromptSession

                reader: PromptSession[str] = PromptSession()
                answer = reader.prompt(f"{question} [y/N] ")
            else:
                print(f"{question} [y/N]", flush=True)
                answer = sys.stdin.readline()
        except (EOFError, KeyboardInterrupt):
            return False
        return answer.strip().lower() in ("y", "yes")

    def _tell(self, event: Any) -> None:
        from aegis.rendering import clean_text

        if event.kind in _TOLD:
            print(f"[{event.at:%H:%M:%S}] {clean_text(event.message, WHOLE_CHARACTERS)}", flush=True)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Leave on SIGTERM, after five seconds at the latest. Ctrl-C ends a command, whatever handled it before."""
        names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before = {name: signal.signal(getattr(signal, name), self._terminate) for name in names}
        try:
            with imports_spared():
                yield
        finally:
            for name, handler in before.items():
                signal.signal(getattr(signal, name), handler)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self._terminated = True
        last_resort = threading.Timer(_LAST_RESORT_SECONDS, os._exit, args=(_TERMINATED,))
        last_resort.daemon = True
        last_resort.start()
        app = getattr(self._reader, "app", None)
        if app is not None and app.is_running and app.loop is not None:
            app.loop.call_soon_threadsafe(lambda: app.exit(exception=EOFError))
        elif not sys.stdin.isatty():
            raise EOFError  # ends the wait for a line
