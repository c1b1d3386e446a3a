"""The dashboard beside an agent that runs: a process of its own, so that no decision waits for it, and ends with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from aegis.errors import AegisError, ConfigError
from aegis.workspace import Workspace

PORT = 8701
_LOOK_SECONDS = 0.1
_END_SECONDS = 2.0


@contextmanager
def dashboard_beside(workspace: Workspace, tell: Callable[[str], None]) -> Iterator[None]:
    """Serve the dashboard of a workspace while the block runs, once the workspace is made.

    tell: hears its address in words, or why there is none. It is called from a thread.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, workspace), name="dashboard", daemon=True)
    process.start()
    theirs.close()  # so that the child hears when this process ends

    def hear() -> None:
        with contextlib.suppress(EOFError, OSError):
            tell(ours.recv())

    threading.Thread(target=hear, name="dashboard", daemon=True).start()
    try:
        yield
    finally:
        process.terminate()
        process.join(_END_SECONDS)
        process.kill()
        ours.close()


def _serve(parent: Connection, workspace: Workspace) -> None:
    if hasattr(os, "setsid"):
        os.setsid()  # a Ctrl-C in the terminal is for the agent alone
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    from aegis.dashboard.app import serve_dashboard
    from aegis.dashboard.place import Places
    from aegis.serving import Listening, TokenBook

    while not workspace.database.exists() or not workspace.database.stat().st_size:  # empty while it is being made
        time.sleep(_LOOK_SECONDS)

    def serve(port: int) -> None:
        listening = Listening("127.0.0.1", port, TokenBook())
        serve_dashboard(Places(workspace), listening, False, lambda address: parent.send(f"Dashboard: {address}"))

    try:
        try:
            serve(PORT)
        except ConfigError:  # another one listens there
            serve(0)
    except AegisError as error:
        parent.send(f"no dashboard: {error}")


def _end_with(parent: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        parent.recv()  # it sends nothing: its end is what arrives
    os.kill(os.getpid(), signal.SIGTERM)
