"""The process that listens: a socket of its own, uvicorn on it, and an orderly end."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uvicorn

from aegis.errors import ConfigError
from aegis.serving.access import TOKENS_VARIABLE, TokenBook, is_loopback
from aegis.serving.app import make_app
from aegis.serving.metric import Metrics
from aegis.serving.point import PointBook
from aegis.serving.setting import ServeConfig

if TYPE_CHECKING:
    from fastapi import APIRouter
    from starlette.types import ASGIApp

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 30
_SWITCH_SECONDS = 0.0005
"""For which a thread that records or decides keeps Python's lock from the event loop at most; Python's own is 0.005"""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server is to listen, and who may ask it. port: 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8700
    tokens: TokenBook = field(default_factory=TokenBook)

    def check(self) -> None:
        """Raise `ConfigError` where everybody in the network could ask."""
        if not is_loopback(self.host) and not self.tokens:
            raise ConfigError(
                f"--host {self.host}: others can reach it, so tokens are needed: `aegis token NAME`, then --tokens"
                f" tokens.jsonl (or the variable {TOKENS_VARIABLE})"
            )


class _Server(uvicorn.Server):
    def __init__(self, options: uvicorn.Config, ready: Callable[[], None], stopped: Callable[[], None]) -> None:
        super().__init__(options)
        self._ready = ready
        self._stopped = stopped

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._stopped()  # before the signal that ends the server is sent once more, which may end the process


def serve(
    points: PointBook,
    config: ServeConfig,
    listening: Listening,
    ready: Callable[[str], None],
    stopped: Callable[[str], None],
    pages: APIRouter | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Serve a workspace's points until a signal ends it, and close them.

    ready: hears the address, once every HRM that serves has decided something. stopped: hears in one line what was
    served. pages: further routes. tell: hears which HRM is loaded.
    Raises `ConfigError` for an address that can't be used, and what opening a configured point raises.
    """
    with contextlib.suppress(ImportError):
        import onnxruntime  # noqa: F401  # now: a server that follows its first promotion must not wait for it
    with closing(points), listen(listening) as bound:
        points.warm(tell)
        points.open_configured()
        metrics = Metrics()
        app = make_app(points, config, listening.tokens, listening.host, metrics, pages)
        import anyio._backends._asyncio  # noqa: F401  # what the first request to an upstream would import

        sys.setswitchinterval(_SWITCH_SECONDS)
        gc.collect()
        gc.freeze()  # else each full collection of garbage looks at all modules, while requests wait
        run(app, bound, config.limits.shutdown_seconds, ready, lambda: stopped(metrics.describe()))


def run(
    app: ASGIApp,
    bound: socket.socket,
    shutdown_seconds: float,
    ready: Callable[[str], None],
    stopped: Callable[[], None],
) -> None:
    """Serve an application at a socket that listens, until a signal ends it. ready: hears the address."""
    address, port = bound.getsockname()[:2]
    options = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="on",
        server_header=False,  # an answer that is passed on has its own
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(shutdown_seconds)),
    )
    shown = f"[{address}]" if ":" in address else address
    _Server(options, lambda: ready(f"http://{shown}:{port}"), stopped).run(sockets=[bound])


def listen(listening: Listening) -> socket.socket:
    """Return a socket that listens; raises `ConfigError` for an address that can't be used."""
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    # Its protocol by name: only then asyncio sends small packets at once; else an answer in two parts waits for 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listening.host, listening.port))
        bound.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        bound.close()
        raise ConfigError(
            f"--host {listening.host} --port {listening.port}: can't listen there"
            f" ({getattr(error, 'strerror', None) or error}): name another --port"
        ) from error
    return bound
