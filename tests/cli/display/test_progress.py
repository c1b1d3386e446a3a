"""Slow work reports its progress: a bar in a terminal, which is removed in the end, and lines elsewhere."""

from __future__ import annotations

import io
import sys
import threading

import pytest
from rich.console import Console

from aegis.cli.display import output
from aegis.cli.display.progress import ProgressLines, describe_progress, progress_bar, waiting


class Written:
    """Collects lines, and lets a test wait for them."""

    def __init__(self):
        self.lines = []
        self._more = threading.Condition()

    def __call__(self, line):
        with self._more:
            self.lines.append(line)
            self._more.notify_all()

    def wait_for(self, count):
        with self._more:
            assert self._more.wait_for(lambda: len(self.lines) >= count, timeout=60)


def test_long_work_reports_its_progress_again_and_again():
    written = Written()
    with ProgressLines(written, pauses=(0.01,)) as tell:
        tell("Loading a teacher", 0, 0)
        written.wait_for(2)
        tell("Loading a teacher", 12, 236)
        written.wait_for(len(written.lines) + 2)
    assert written.lines[0].startswith("Loading a teacher (")
    assert written.lines[-1].startswith("Loading a teacher, 12 of 236 (")
    told = len(written.lines)
    tell("More", 0, 0)
    assert len(written.lines) == told


def test_a_reader_that_has_gone_ends_the_lines_and_no_work():
    tried = Written()

    def write(line):
        tried(line)
        raise BrokenPipeError("nobody reads")

    with ProgressLines(write, pauses=(0.01,)) as tell:
        tell("Writing", 1, 9)
        tried.wait_for(1)
        tell("Still writing", 2, 9)
    assert len(tried.lines) == 1


def test_short_work_reports_no_progress():
    written = Written()
    with ProgressLines(written, pauses=(60,)) as tell:
        for step in range(3):
            tell(f"Step {step}", 0, 0)
        tell("", 0, 0)
    assert written.lines == []


def test_no_line_is_written_between_two_pieces_of_work():
    written = Written()
    with ProgressLines(written, pauses=(0.01,)) as tell:
        tell("One", 0, 0)
        written.wait_for(1)
        tell("", 0, 0)
        told = len(written.lines)
        tell("Two", 0, 0)
        written.wait_for(told + 1)
    assert {line.split(" (")[0] for line in written.lines} == {"One", "Two"}


def test_outer_work_writes_no_line_while_inner_work_reports_progress():
    written = Written()
    with ProgressLines(written, pauses=(0.01,)) as deciding:
        deciding("Deciding", 12, 30)
        written.wait_for(1)
        with ProgressLines(written, pauses=(0.01,)) as loading:
            begun = len(written.lines) + 1  # a line may be about to be written
            loading("Loading a teacher", 0, 0)
            deciding("Deciding", 13, 30)
            written.wait_for(begun + 5)
            during = written.lines[begun:]
        ended = len(written.lines)
        written.wait_for(ended + 1)
    assert {line.split(" (")[0] for line in during} == {"Loading a teacher"}
    assert written.lines[-1].startswith("Deciding, 13 of 30 (")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_a_bar_and_a_file_gets_lines(terminal, monkeypatch, capsys):
    file = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=file, force_terminal=terminal, width=100))
    monkeypatch.setenv("TERM", "xterm")
    with waiting() as tell:
        assert isinstance(tell, ProgressLines) is not terminal
        tell("Loading [bold] teacher", 3, 7)
    assert ("Loading [bold] teacher, 3 of 7" in file.getvalue()) is terminal
    if terminal:
        assert file.getvalue().endswith(("\x1b[2K", "\x1b[?25h", "\x1b[1A\x1b[2K", "\r"))  # the bar is removed
    assert capsys.readouterr().out == ""


def test_a_bar_may_open_inside_another_bar(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=file, force_terminal=True, width=100))
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar() as bar:
        bar.add_task("Deciding", total=3)
        with waiting() as tell:
            tell("Loading a teacher", 0, 0)
    assert "Deciding" in file.getvalue()
    assert "Loading a teacher" in file.getvalue()


def test_batches_are_not_reported_as_decisions():
    assert describe_progress("Training the HRM, batch", 27, 1100) == "Training the HRM, batch 27 of 1100"
    assert describe_progress("Loading gemma", 3, 7) == "Loading gemma, 3 of 7"


def test_output_for_machines_is_not_mixed_with_progress(monkeypatch, capsys):
    written = Written()
    monkeypatch.setattr(ProgressLines.__init__, "__defaults__", ((0.01,),))
    monkeypatch.setattr("builtins.print", lambda *parts, **where: written((where["file"], *parts)))
    with waiting(on_stderr=True) as tell:
        tell("Reading", 0, 0)
        written.wait_for(1)
    assert written.lines[0][0] is sys.stderr
    assert capsys.readouterr().out == ""
