"""Check data and model before training: the same as `aegis check`."""

import typer

from aegis.cli.exchange import check

if __name__ == "__main__":
    typer.run(check)
