"""What a person sees of an agent that runs by itself: a live screen or lines, and the signals that stop it."""

from __future__ import annotations

import json
import queue
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import TYPE_CHECKING, Any

from aegis.cli.beside import dashboard_beside
from aegis.cli.display.output import WHOLE_CHARACTERS, say, say_stopped
from aegis.cli.display.progress import ProgressLines
from aegis.cli.interrupt import INTERRUPTED
from aegis.cli.session import Session, set_deciding_threads
from aegis.lifecycle import RunEvent
from aegis.rendering import clean_text
from aegis.types import unheard, utc_now

if TYPE_CHECKING:
    from aegis.cli.prompt.repl import Ending, Repl

_LOOK_SECONDS = 0.1
_TERMINATED = 128 + signal.SIGTERM


class Signals:
    """Ctrl-C and SIGTERM, kept until they are asked for."""

    def __init__(self) -> None:
        self.interrupted = False
        self.terminated = False

    def take_interrupt(self) -> bool:
        """Return whether Ctrl-C came since the last time."""
        came, self.interrupted = self.interrupted, False
        return came

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Keep them instead of what they do otherwise, while the block runs."""
        wanted = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before = {name: signal.signal(getattr(signal, name), self._keep) for name in wanted}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(getattr(signal, name), handler)

    def _keep(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            self.interrupted = True
        else:
            self.terminated = True


def follow(session: Session, headless: bool, as_json: bool, dashboard: bool = False) -> int:
    """Run the agent and show it until it ends or is stopped; return the exit code. dashboard: serve one beside it."""
    set_deciding_threads()
    in_terminal = sys.stdout.isatty() and sys.stdin.isatty() and not headless
    signals = Signals()
    with signals.caught():
        if in_terminal and not as_json:
            code = _follow_live(session, signals, dashboard)
        else:
            code = _follow_lines(session, signals, as_json, dashboard)
    session.raise_error()
    return code


def _serving(session: Session, dashboard: bool, tell: Callable[[str], None]) -> AbstractContextManager[None]:
    return dashboard_beside(session.workspace, tell) if dashboard else nullcontext()


def _follow_lines(session: Session, signals: Signals, as_json: bool, dashboard: bool) -> int:
    session.listen(_print_json if as_json else _print_line)
    # JSON lines are events alone.
    shown = session.shows(unheard) if as_json else session.shows(ProgressLines(_print_progress))
    with shown, _serving(session, dashboard, _print_aside if as_json else say):
        session.start()
        _wait_for_end(session, signals)
    return 0


def _wait_for_end(session: Session, signals: Signals) -> None:
    while session.alive:
        session.wait(_LOOK_SECONDS)
        if signals.terminated:
            session.leave(_TERMINATED)
        if signals.take_interrupt():
            say_stopped()
            session.leave(INTERRUPTED)


def _follow_live(session: Session, signals: Signals, dashboard: bool) -> int:
    from aegis.cli.display.screen import LiveScreen
    from aegis.cli.prompt.repl import Repl

    events: queue.SimpleQueue[RunEvent] = queue.SimpleQueue()
    session.listen(events.put)
    screen = LiveScreen(session.workspace)
    with session.shows(screen.hear), _serving(session, dashboard, screen.name_page):
        session.start()
        while True:
            with screen.shown():
                while session.alive and not signals.terminated and not signals.interrupted:
                    session.wait(_LOOK_SECONDS)
                    while not events.empty():
                        screen.add(events.get())
                    screen.refresh()
            if signals.terminated:
                session.leave(_TERMINATED)
            if not signals.take_interrupt():
                return 0
            session.pause()
            if _talk(Repl(session, returns_on_start=True)) == "quit":
                session.leave(0)
            session.start()


def _talk(repl: Repl) -> Ending:
    """Let a person use the prompt; Ctrl-C between two commands leaves, too."""
    try:
        return repl.run()
    except KeyboardInterrupt:
        return "quit"


def _print_line(event: RunEvent) -> None:
    fields: dict[str, Any] = dict(event.fields)
    if event.kind == "decided":
        reward = "reward unknown" if fields["reward"] is None else f"reward {fields['reward']:+.2f}"
        text = f"{fields['policy']}: {event.message}  [{fields['status']}, {reward}]"
    else:
        text = event.message
    say(f"{event.at:%H:%M:%S} {event.kind:<16} {clean_text(text, WHOLE_CHARACTERS)}")


def _print_aside(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_progress(line: str) -> None:
    say(f"{utc_now():%H:%M:%S} {'loading':<16} {clean_text(line, WHOLE_CHARACTERS)}")


def _print_json(event: RunEvent) -> None:
    say(json.dumps(event.to_record(), ensure_ascii=True, default=str))
