"""How far a command is: lines in a pipe, now and then; a bar in a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from aegis.cli.progress import Steps


def test_a_pipe_gets_a_line_when_a_step_begins_and_one_every_ten_seconds():
    out, now = io.StringIO(), [0.0]
    steps = Steps(Console(file=out), clock=lambda: now[0])
    with steps:
        for second in range(25):
            now[0] = float(second)
            steps.show("Training", second, 25)
        steps.show("Exporting...")
        steps.show("Exporting...")
    assert out.getvalue() == "  Training...\n  Training: 10 of 25\n  Training: 20 of 25\n  Exporting...\n"


def test_a_terminal_gets_a_bar_with_the_step_and_nothing_stays_behind():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    with Steps(console) as steps:
        steps.show("Loading [the] HRM")
        steps.show("Training", 3, 10)
        steps.show("Training", 4, 10)
    shown = out.getvalue()
    assert "4 of 10" in shown
    assert "Training..." not in shown
    assert shown.endswith(("\x1b[2K", "\x1b[?25h", "\x1b[1A\x1b[2K", "\r"))
