"""The live screen of a running agent: phase, progress, decisions, epochs and rewards as they come.

The screen fills the terminal. Text that must be read whole is wrapped; the newest decisions take the remaining rows.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aegis.cli.display.block import describe_collected, describe_updates, explain_rewards
from aegis.cli.display.output import WHOLE_CHARACTERS, console, percentages
from aegis.cli.display.progress import describe_progress
from aegis.lifecycle import RunEvent
from aegis.lifecycle.milestone import describe_phase
from aegis.rendering import clean_text
from aegis.research.run import AgentStanding, read_agent_standing
from aegis.types import utc_now
from aegis.workspace import Workspace

_KEPT = 100
"""Decisions and epochs that are kept for a large terminal"""
_LEAST_DECISIONS = 3
_NARROW_COLUMNS = 80
"""With fewer columns, the table has no policy and no status, and the bar has a separate line"""
_EPOCHS_SHOWN = 6
_NOTES_SHOWN = 5
_WAITING_SHOWN = 3
_STANDING_EVERY_SECONDS = 1.0
_REWARDS_KEPT = 100
_NOTE_CHARACTERS = 400
_COLOURS = {"ok": "green", "failed": "red", "unknown": "yellow"}
_ELSEWHERE = ("asked", "proposed", "improved")
"""Events that other parts of the screen show: the waiting questions, and the line of rewards"""


class LiveScreen:
    """Draws the events that it receives, and the status of the workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._decisions: deque[RunEvent] = deque(maxlen=_KEPT)
        self._epochs: deque[RunEvent] = deque(maxlen=_KEPT)
        self._notes: deque[RunEvent] = deque(maxlen=_NOTES_SHOWN)
        self._verdict: RunEvent | None = None
        self._rewards: deque[float] = deque(maxlen=_REWARDS_KEPT)
        self._actions: Counter[str] = Counter()
        self._progress = ("", 0, 0)
        self._progress_since = 0.0
        self._standing: AgentStanding | None = None
        self._read_at = 0.0
        self._page = ""
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the screen while the block runs; the last picture stays."""
        with _unechoed(), Live(self, console=console, auto_refresh=False) as live:
            self._live = live
            yield
            self.refresh(at_once=True)
        self._live = None

    def add(self, event: RunEvent) -> None:
        """Take an event for the next picture."""
        if event.kind == "decided":
            self._decisions.append(event)
            self._actions[event.fields["action"]] += 1
            if event.fields["reward"] is not None:
                self._rewards.append(event.fields["reward"])
        elif event.kind == "epoch":
            self._epochs.append(event)
        elif event.kind == "training_ended":
            self._verdict = event
        elif event.kind not in _ELSEWHERE:
            if event.kind == "resumed":
                self._notes = deque((one for one in self._notes if one.kind != "paused"), maxlen=_NOTES_SHOWN)
            if event.kind == "training_started":
                self._epochs.clear()
                self._verdict = None
            self._notes.append(event)

    def hear(self, what: str, done: int, total: int) -> None:
        """Take the progress of slow work; see `types.Progress`."""
        if what != self._progress[0]:
            self._progress_since = time.monotonic()
        self._progress = (what, done, total)

    def name_page(self, words: str) -> None:
        """Show where the dashboard is; called from its thread."""
        self._page = words

    def _read_standing(self) -> AgentStanding | None:
        """Return where the workspace stands; None while the agent of this process is making the database."""
        file = self._workspace.database
        made = file.exists() and file.stat().st_size
        return read_agent_standing(self._workspace) if made else None

    def refresh(self, at_once: bool = False) -> None:
        """Draw the screen again; the workspace is read at most once a second, unless `at_once`."""
        if at_once or time.monotonic() - self._read_at >= _STANDING_EVERY_SECONDS:
            self._read_at = time.monotonic()
            self._standing = self._read_standing()
        if self._live is not None:
            self._live.refresh()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the present moment into all rows of the terminal except the last."""
        # The commands' console does not wrap, so that lines for a pipe stay whole.
        options = options.update(no_wrap=False, overflow="fold")
        yield from console.render(self._draw(console, options), options)

    def _draw(self, console: Console, options: ConsoleOptions) -> RenderableType:
        standing, rows = self._standing, max(8, options.size.height - 1)
        narrow = options.max_width < _NARROW_COLUMNS
        inner = options.update(width=options.max_width - 4, height=None)

        def count(parts: Sequence[RenderableType]) -> int:
            return sum(len(console.render_lines(part, inner)) for part in parts)

        if standing is None:
            parts = [*self._going_on(), Text("getting ready...")]
            return Panel(Group(*parts), title="AEGIS", height=rows)
        above = [*self._collected(standing, narrow), *self._going_on(), self._shares(), *self._waiting(standing)]
        below = [*self._verdict_lines(), *self._trial(standing), *self._reward_lines(standing)]
        below += [Text(self._page)] if self._page else []
        below.append(Text("Ctrl-C pauses and opens the prompt", style="dim"))
        left = rows - 2 - count(above) - count(below)
        notes = self._newest_notes(max(0, left - _LEAST_DECISIONS) // 2, count)
        left -= count([text for _, text in notes])
        epochs = list(self._epochs)[-max(1, min(_EPOCHS_SHOWN, left - _LEAST_DECISIONS)) :]
        decisions = self._decision_table(narrow, max(_LEAST_DECISIONS, left - len(epochs)))
        left -= len(epochs) + decisions.row_count
        lines = sorted([*((event.at, _line(event)) for event in epochs), *notes], key=lambda one: one[0])
        middle = [decisions, *[Text("")] * left, *(text for _, text in lines)]
        title = Text(f"AEGIS  {clean_text(describe_phase(standing))}")
        subtitle = Text(f"decides: {standing.serving or 'nobody yet'}")
        return Panel(Group(*above, *middle, *below), title=title, subtitle=subtitle, height=rows)

    def _collected(self, standing: AgentStanding, narrow: bool) -> Iterator[RenderableType]:
        grid = Table.grid(padding=(0, 1))
        done = min(standing.collected, standing.target)
        bar = ProgressBar(total=max(1, standing.target), completed=done, width=None if narrow else 40)
        if narrow:
            yield Text(f"Collected {describe_collected(standing)}")
            yield bar
            return
        grid.add_row("Collected", bar, describe_collected(standing))
        yield grid

    def _going_on(self) -> Iterator[RenderableType]:
        what, done, total = self._progress
        if what:
            since = f" ({time.monotonic() - self._progress_since:.0f} s)"
            yield Text(clean_text(describe_progress(what, done, total), _NOTE_CHARACTERS) + since, style="cyan")

    def _shares(self) -> RenderableType:
        percent = percentages(self._actions)
        shares = [f"{name} {percent[name]}%" for name, _ in self._actions.most_common()]
        return Text("This run: " + (", ".join(shares) or "no decision yet"))

    def _waiting(self, standing: AgentStanding) -> Iterator[RenderableType]:
        """Draw the questions and proposals that wait for a person, the first to expire on top, and how to answer."""
        now = utc_now()
        waiting = sorted((one for one in standing.waiting if one.due_at > now), key=lambda one: one.due_at)
        if not waiting:
            return
        more = f", {len(waiting) - _WAITING_SHOWN} more in `pending`" if len(waiting) > _WAITING_SHOWN else ""
        yield Text(f"Waiting for you (Ctrl-C opens the prompt{more}):", style="bold yellow")
        for one in waiting[:_WAITING_SHOWN]:
            yield Text(f"  {one.kind} {one.number}, {one.left(now)} left: {one.text} -> {one.how()}")

    def _decision_table(self, narrow: bool, rows: int) -> Table:
        """Draw the newest decisions; in a narrow terminal the frame shows the policy, and a colour the status."""
        table = Table(box=None, expand=True, show_header=False, pad_edge=False)
        table.add_column(width=8, no_wrap=True)
        if not narrow:
            table.add_column(width=12, no_wrap=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        if not narrow:
            table.add_column(width=8, no_wrap=True)
        table.add_column(width=6, justify="right", no_wrap=True)
        for event in list(self._decisions)[-rows:]:
            fields, reward = event.fields, event.fields["reward"]
            colour = _COLOURS.get(fields["status"], "")
            table.add_row(
                f"{event.at:%H:%M:%S}",
                *([] if narrow else [Text(clean_text(fields["policy"], 12))]),
                Text(clean_text(event.message, 200), style=colour if narrow else ""),
                *([] if narrow else [Text(fields["status"], style=colour)]),
                "" if reward is None else f"{reward:+.1f}",
            )
        return table

    def _trial(self, standing: AgentStanding) -> Iterator[RenderableType]:
        if standing.trial:
            yield Text(clean_text(standing.trial, _NOTE_CHARACTERS))

    def _verdict_lines(self) -> Iterator[RenderableType]:
        """Draw the last training's verdict in full, with one rule of the gate per line."""
        if self._verdict is not None:
            for number, part in enumerate(clean_text(self._verdict.message, WHOLE_CHARACTERS).split("; ")):
                yield Text(f"{'  ' if number else f'{self._verdict.at:%H:%M:%S} '}{part}")

    def _reward_lines(self, standing: AgentStanding) -> Iterator[RenderableType]:
        mean = sum(self._rewards) / max(1, len(self._rewards))
        text = f"Mean reward of the last {len(self._rewards)}: {mean:+.2f}" if self._rewards else "No reward known yet"
        if standing.mean_reward is not None:
            text += f"; of the HRM's {standing.hrm_decisions} decisions: {standing.mean_reward:+.2f}"
        yield Text(text + f"; RL updates: {describe_updates(standing)}")
        why = explain_rewards(standing)
        if why:
            yield Text(f"  {why}", style="dim")

    def _newest_notes(
        self, rows: int, count: Callable[[Sequence[RenderableType]], int]
    ) -> list[tuple[datetime, RenderableType]]:
        """Return the newest notes that fit into the rows, wrapped; at least one line of the newest."""
        found: list[tuple[datetime, RenderableType]] = []
        for event in reversed(self._notes):
            note = Text(f"{event.at:%H:%M:%S} {clean_text(event.message, _NOTE_CHARACTERS)}")
            if count([note, *(text for _, text in found)]) > rows:
                break
            found.insert(0, (event.at, note))
        return found or [(event.at, _line(event)) for event in list(self._notes)[-1:]]


def _line(event: RunEvent) -> RenderableType:
    text = f"{event.at:%H:%M:%S} {clean_text(event.message, _NOTE_CHARACTERS)}"
    return Text(text, no_wrap=True, overflow="ellipsis")


@contextmanager
def _unechoed() -> Iterator[None]:
    """Stop the terminal from echoing typed characters, even `^C`, which would shift the rows of the screen."""
    if not sys.stdin.isatty() or os.name != "posix":
        yield
        return
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    changed = [*before]
    changed[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
