"""The doors into AEGIS: `aegis`, `python -m aegis` and the four scripts. Ctrl-C prints no traceback there."""

from __future__ import annotations

import importlib
import sys

from aegis.cli import interrupt

_COMMANDS = {
    "start": "aegis.cli.commands.start",
    "prompt": "aegis.cli.commands.prompt",
    "train": "aegis.cli.commands.train",
    "check": "aegis.cli.commands.decisions.check",
}
"""Where each command that has a script of its own lies"""


def main() -> None:
    """Run the `aegis` command."""
    enter("")


def enter(command: str) -> None:
    """Run a command with the arguments of this process; '': the one that the first argument names."""
    interrupt.end_at_once()
    try:
        if not command:
            importlib.import_module("aegis.cli.main").app()
        import typer

        typer.run(getattr(importlib.import_module(_COMMANDS[command]), command))
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(interrupt.INTERRUPTED)
    finally:
        interrupt.end_silently()
