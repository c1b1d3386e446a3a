"""The dashboard as a server of its own, and as the pages of `aegis serve`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Message

from aegis.dashboard.place import Places
from aegis.dashboard.route import make_pages
from aegis.dashboard.session import SCOPE, Session, name_cookie
from aegis.serving.access import SiteCheck, TokenBook, draw_token
from aegis.serving.admission import Admission
from aegis.serving.app import explain_errors
from aegis.serving.metric import Metrics
from aegis.serving.middleware import RequestMiddleware
from aegis.serving.server import Listening, listen, run
from aegis.serving.setting import LimitConfig

_SHUTDOWN_SECONDS = 1.0


def make_dashboard(
    places: Places, tokens: TokenBook, host: str = "127.0.0.1", read_only: bool = False
) -> RequestMiddleware:
    """Return the dashboard as an application. tokens: of those who may look. host: where it will listen."""
    limits, metrics = LimitConfig(), Metrics()
    admission = Admission(tokens, limits, metrics)

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(admission.close)

    app = FastAPI(title="AEGIS", lifespan=live, openapi_url=None, docs_url=None, redoc_url=None)
    pages = make_pages(places, Session(admission, read_only), admission)
    app.include_router(pages)
    explain_errors(app, pages)
    return RequestMiddleware(app, None, limits, SiteCheck(host), metrics, gateway_bytes=limits.max_body_bytes)


def make_guest_pages(places: Places, tokens: TokenBook, limits: LimitConfig) -> tuple[str, APIRouter]:
    """Return a new token, and the routes of a dashboard for a server that has routes of its own.

    tokens: of the server; those that may manage open the dashboard, too.
    """
    secret, token = draw_token("dashboard", [SCOPE])
    admission = Admission(tokens.with_token(token), limits, Metrics())
    return secret, make_pages(places, Session(admission, read_only=False), admission)


def serve_dashboard(places: Places, listening: Listening, read_only: bool, ready: Callable[[str], None]) -> None:
    """Serve the dashboard until a signal ends it. ready: hears the address, with a new token in it.

    Raises `ConfigError` for an address that can't be used.
    """
    secret, token = draw_token("dashboard", [SCOPE])
    app = make_dashboard(places, listening.tokens.with_token(token), listening.host, read_only)
    with listen(listening) as bound:
        asyncio.run(_open_once(app, secret))
        run(app, bound, _SHUTDOWN_SECONDS, lambda address: ready(f"{address}/?token={secret}"), lambda: None)


async def _open_once(app: ASGIApp, secret: str) -> None:
    """Ask for the page as a browser will: the first requests import and build what the others find."""
    headers = [(b"host", b"localhost"), (b"cookie", f"{name_cookie('localhost')}={secret}".encode())]

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        pass

    for path in ("/", "/page/main.js", "/api/status"):
        of_it = {"path": path, "query_string": b"", "headers": headers, "client": ("127.0.0.1", 0), "scheme": "http"}
        await app({"type": "http", "method": "GET"} | of_it, receive, send)
