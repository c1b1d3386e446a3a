"""`aegis init`: writes an example of an agent of one's own into a folder, over nothing that is there."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from aegis.cli.display.output import errors_explained, fail, say

DEFAULT_FOLDER = Path("my-agent")
_README = """# An agent of your own

`agent.py` is a support desk. It decides what to do with each ticket: refund, escalate or answer. A rule stands for
the language model that decides at first. AEGIS records its decisions, trains a small model on them, and lets that
model decide once it has proved itself on decisions that it never saw.

    python agent.py                          # some minutes: the real model, trained on 1,100 decisions
    python agent.py --small --collect 200    # a minute: a small model, to see the whole way
    aegis status --point support             # where it stands
    aegis models --point support             # its models, with their figures

Change four things in `agent.py` to make it yours: `ACTIONS`, `ask_llm`, `next_ticket` and `reward_of`. All that is
recorded and learned lies in the folder `workspace`.
"""


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to write into; it is made where there is none.")] = (
        DEFAULT_FOLDER
    ),
) -> None:
    """Write a commented example of an agent of your own: its actions, its teacher, its rewards."""
    with errors_explained():
        example = resources.files("aegis.cli.commands.init").joinpath("agent.py").read_text("utf-8")
        texts = {"agent.py": example, "README.md": _README}
        if there := [name for name in texts if (folder / name).exists()]:
            fail(f"{folder}: {' and '.join(there)} there already: name another folder, nothing was written")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                with (folder / name).open("x", encoding="utf-8") as file:
                    file.write(text)
                say(f"✓ {folder / name}")
        except OSError as error:
            fail(f"{folder}: can't be written: {error.strerror or error}: name another folder")
        say(f"next: cd {folder}, then: python agent.py")
