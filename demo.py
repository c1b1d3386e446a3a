"""Talk to the agent: the same as `aegis prompt`."""

import typer

from aegis.cli.repl import prompt

if __name__ == "__main__":
    typer.run(prompt)
