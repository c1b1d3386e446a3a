"""Run the agent by itself, through all phases: the same as `aegis start`."""

import typer

from aegis.cli.start import start

if __name__ == "__main__":
    typer.run(start)
