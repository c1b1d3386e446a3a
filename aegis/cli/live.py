"""The live screen of an agent by itself: phase, progress, decisions, epochs and rewards as they come."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aegis.cli.block import describe_phase
from aegis.cli.screen import console
from aegis.lifecycle import RunEvent, Standing, read_standing
from aegis.rendering import clean_text
from aegis.workspace import Workspace

_DECISIONS_SHOWN = 8
_EPOCHS_SHOWN = 6
_NOTES_SHOWN = 3
_STANDING_EVERY_SECONDS = 1.0
_REWARDS_KEPT = 100
_COLOURS = {"ok": "green", "failed": "red", "unknown": "yellow"}


class LiveScreen:
    """Draws what it is told of, and where the workspace stands."""

    def __init__(self, workspace: Workspace, collect: int) -> None:
        self._workspace = workspace
        self._collect = collect
        self._decisions: deque[RunEvent] = deque(maxlen=_DECISIONS_SHOWN)
        self._epochs: deque[RunEvent] = deque(maxlen=_EPOCHS_SHOWN)
        self._notes: deque[RunEvent] = deque(maxlen=_NOTES_SHOWN)
        self._rewards: deque[float] = deque(maxlen=_REWARDS_KEPT)
        self._actions: Counter[str] = Counter()
        self._standing: Standing | None = None
        self._read_at = 0.0
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it while the block runs; its last picture stays."""
        with Live(self.draw(), console=console, auto_refresh=False) as live:
            self._live = live
            yield
            self.refresh(at_once=True)
        self._live = None

    def add(self, event: RunEvent) -> None:
        """Take up something that happened."""
        if event.kind == "decided":
            self._decisions.append(event)
            self._actions[event.fields["action"]] += 1
            if event.fields["reward"] is not None:
                self._rewards.append(event.fields["reward"])
        elif event.kind == "epoch":
            self._epochs.append(event)
        elif event.kind == "improved":
            pass  # every few decisions: the line of rewards counts them
        else:
            if event.kind == "training_started":
                self._epochs.clear()
            self._notes.append(event)

    def refresh(self, at_once: bool = False) -> None:
        """Draw it again; the workspace is looked at once a second."""
        if at_once or time.monotonic() - self._read_at >= _STANDING_EVERY_SECONDS:
            self._read_at = time.monotonic()
            self._standing = read_standing(self._workspace) if self._workspace.database.exists() else None
        if self._live is not None:
            self._live.update(self.draw(), refresh=True)

    def draw(self) -> RenderableType:
        """Return the picture of this moment."""
        standing = self._standing
        if standing is None:
            return Panel(Text("getting ready..."), title="AEGIS")
        parts: list[RenderableType] = [self._progress(standing), self._shares(), self._decision_table()]
        parts += [self._line(event) for event in self._epochs]
        if standing.trial:
            parts.append(Text(clean_text(standing.trial, 200), no_wrap=True, overflow="ellipsis"))
        parts.append(self._reward_line(standing))
        parts += [self._line(event) for event in self._notes]
        parts.append(Text("Ctrl-C pauses and opens the prompt", style="dim"))
        title = f"AEGIS  {clean_text(describe_phase(standing))}"
        return Panel(Group(*parts), title=Text(title), subtitle=Text(f"decides: {standing.serving or 'nobody yet'}"))

    def _progress(self, standing: Standing) -> RenderableType:
        grid = Table.grid(padding=(0, 1))
        done = min(standing.collected, standing.target)
        grid.add_row(
            "Collected",
            ProgressBar(total=max(1, standing.target), completed=done, width=40),
            f"{standing.collected}/{standing.target}",
        )
        return grid

    def _shares(self) -> RenderableType:
        total = max(1, self._actions.total())
        shares = [f"{name} {count / total:.0%}" for name, count in self._actions.most_common()]
        return Text("This run: " + (", ".join(shares) or "no decision yet"))

    def _decision_table(self) -> RenderableType:
        table = Table(box=None, expand=True, show_header=False, pad_edge=False)
        table.add_column(width=8, no_wrap=True)
        table.add_column(width=12, no_wrap=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(width=8, no_wrap=True)
        table.add_column(width=6, justify="right", no_wrap=True)
        for event in self._decisions:
            fields, reward = event.fields, event.fields["reward"]
            table.add_row(
                f"{event.at:%H:%M:%S}",
                Text(clean_text(fields["policy"], 12)),
                Text(clean_text(event.message, 200)),
                Text(fields["status"], style=_COLOURS.get(fields["status"], "")),
                "" if reward is None else f"{reward:+.1f}",
            )
        return table

    def _reward_line(self, standing: Standing) -> RenderableType:
        recent = f"{sum(self._rewards) / len(self._rewards):+.2f}" if self._rewards else "unknown"
        text = f"Mean reward of the last {len(self._rewards)}: {recent}"
        if standing.mean_reward is not None:
            text += f"; of the HRM's {standing.hrm_decisions} decisions: {standing.mean_reward:+.2f}"
        return Text(text + f"; RL updates: {standing.rl_updates}")

    def _line(self, event: RunEvent) -> RenderableType:
        return Text(f"{event.at:%H:%M:%S} {clean_text(event.message, 200)}", no_wrap=True, overflow="ellipsis")
