"""The `aegis` command: names its commands and hands over to them."""

from __future__ import annotations

if __name__ == "__main__":  # as `python -m aegis.cli.main`: by the door, which is there before what is imported below
    from aegis.cli.door import main

    main()

from typing import Annotated

import typer

from aegis import __version__
from aegis.cli.commands.agent import collect, run
from aegis.cli.commands.archive.command import archive
from aegis.cli.commands.bench import bench
from aegis.cli.commands.cluster.labelling import label
from aegis.cli.commands.compare import compare
from aegis.cli.commands.curve import curve
from aegis.cli.commands.decisions.audit import audit_data
from aegis.cli.commands.decisions.check import check
from aegis.cli.commands.decisions.doctor import doctor
from aegis.cli.commands.decisions.exporting import export
from aegis.cli.commands.decisions.forget import forget
from aegis.cli.commands.decisions.importing import import_
from aegis.cli.commands.decisions.moving import move
from aegis.cli.commands.decisions.off_policy import ope
from aegis.cli.commands.decisions.replaying import replay
from aegis.cli.commands.decisions.reporting import report
from aegis.cli.commands.decisions.saving import savings
from aegis.cli.commands.decisions.verify import verify
from aegis.cli.commands.evaluate import evaluate
from aegis.cli.commands.improve import improve
from aegis.cli.commands.inbox import answer, approve, inbox, reject
from aegis.cli.commands.init.command import init
from aegis.cli.commands.models import models, promote, rollback
from aegis.cli.commands.prompt import prompt
from aegis.cli.commands.scan import scan
from aegis.cli.commands.serve import dashboard, serve, token
from aegis.cli.commands.start import improve_next, start, train_next
from aegis.cli.commands.status import status
from aegis.cli.commands.train import train

app = typer.Typer(
    name="aegis",
    help="Move an agent off a large language model onto a small Hierarchical Reasoning Model of its own.",
    epilog="Exit codes: 0 success, 1 answered no, or a change found, 2 bad input, 3 the HRM did not pass or a budget"
    " is used up, 130 Ctrl-C.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(init)
app.command()(scan)
app.command()(label)
app.command()(start)
app.command()(prompt)
app.command()(collect)
app.command()(train)
app.command()(run)
app.command()(improve)
app.command()(status)
app.command()(models)
app.command()(promote)
app.command()(rollback)
app.command()(dashboard)
app.command()(serve)
app.command()(token)
app.command()(curve)
app.command()(compare)
app.command()(evaluate)
app.command()(ope)
app.command()(bench)
app.command(name="audit-data")(audit_data)
app.command()(check)
app.command()(export)
app.command(name="import")(import_)
app.command()(report)
app.command()(savings)
app.command()(verify)
app.command()(doctor)
app.command()(replay)
app.command()(forget)
app.command()(archive)
app.command()(move)
app.command()(inbox)
app.command()(answer)
app.command()(approve)
app.command()(reject)
app.command(hidden=True)(train_next)
app.command(hidden=True)(improve_next)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aegis-hrm {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
