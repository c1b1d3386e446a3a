"""`aegis serve`: decisions over HTTP; `aegis token`: who may ask for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.cli.admission import check_folder
from aegis.cli.display.output import errors_explained, say
from aegis.cli.options import WorkspaceOption
from aegis.errors import ConfigError
from aegis.packages import require
from aegis.rendering import clean_text
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.lifecycle.event import RunEvent
    from aegis.serving import ServeConfig


def serve(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    host: Annotated[str, typer.Option(help="Address to listen at; 127.0.0.1: this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0: a free one.")] = 8700,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with the points, their teachers and the limits (docs/serve.md).")
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(help="Pass requests to language models on to this address, e.g. https://api.openai.com/v1."),
    ] = None,
    tokens: Annotated[
        Path | None, typer.Option(help="File of `aegis token`: who may ask. Needed where others can reach the host.")
    ] = None,
) -> None:
    """Serve the workspace's decision points over HTTP, until Ctrl-C.

    Each point trains, switches and is watched beside the requests, as with `aegis.Decider`. The dashboard is at `/`.
    """
    with errors_explained():
        for module in ("fastapi", "uvicorn", "prometheus_client", "httpcore2"):
            require(module, "serving over HTTP")
        check_folder(workspace)
        from aegis import serving
        from aegis.lifecycle.training.need import missing_package

        settings = serving.ServeConfig() if config is None else serving.read_config(config, upstream)
        if upstream is not None and config is None:
            settings = settings.with_upstream(upstream)
        listening = serving.Listening(host, port, serving.TokenBook.read(tokens))
        listening.check()
        _check_points(settings, workspace, config)
        if lacks := missing_package():
            say(f"⚠ {lacks}")
        from aegis.dashboard.app import make_guest_pages
        from aegis.dashboard.place import Places

        points = serving.PointBook(workspace, settings.points, _hear, settings.gateway)
        secret, pages = make_guest_pages(Places(Workspace(workspace)), listening.tokens, settings.limits)
        serving.serve(
            points,
            settings,
            listening,
            ready=lambda address: say(f"Serving {workspace}/ at {address}\nDashboard: {address}/?token={secret}"),
            stopped=lambda served: say(f"Served: {served}"),
            pages=pages,
            tell=lambda line: say(clean_text(line, 500)),
        )


def token(
    name: Annotated[str, typer.Argument(help="Whom the token is for, e.g. support-agent.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="decide, report or manage; may be repeated. Default: decide and report.")
    ] = None,
    file: Annotated[Path, typer.Option(help="File of the tokens; it keeps their hashes alone.")] = Path("tokens.jsonl"),
) -> None:
    """Make a token for `aegis serve --tokens`, and print it once."""
    with errors_explained():
        from aegis.serving.access import add_token

        secret = add_token(file, name, scope or ["decide", "report"])
        say(f"{name}: {secret}")
        say(f"  {file} keeps its hash alone: store the token now, it is not shown again")


def _check_points(settings: ServeConfig, workspace: Path, file: Path | None) -> None:
    """Say which configured points are new; raises `ConfigError` for one that is mistyped."""
    from aegis.serving.setting import check_points

    try:
        for line in check_points(settings, Workspace(workspace).points()):
            say(line)
    except ConfigError as error:
        raise ConfigError(f"--config {file}: {error}") from error


def _hear(point: str, event: RunEvent) -> None:
    if event.fields.get("lacks"):  # said at the start, once for all points
        return
    if event.kind in ("training_started", "training_ended", "switched", "monitor", "stage", "failed", "waiting"):
        say(clean_text(f"{point}: {event.message}", 500))
