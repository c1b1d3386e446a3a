"""Train the HRM now, on the shipped decisions by default: the same as `aegis train`."""

import typer

from aegis.cli.train import train

if __name__ == "__main__":
    typer.run(train)
