"""The whole server as one ASGI application: middleware, routes, errors as answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from aegis import __version__
from aegis.errors import AegisError
from aegis.serving.access import SiteCheck, TokenBook
from aegis.serving.admission import Admission
from aegis.serving.fault import explain
from aegis.serving.gateway.assist import Assistant
from aegis.serving.gateway.choice import Prompts
from aegis.serving.gateway.dialect import DIALECTS
from aegis.serving.gateway.passing import Gateway
from aegis.serving.gateway.recording import Recording
from aegis.serving.gateway.span import find_tracer
from aegis.serving.metric import Metrics
from aegis.serving.middleware import Refusal, RequestMiddleware, fault_body
from aegis.serving.point import PointBook
from aegis.serving.quick import QuickDecisions
from aegis.serving.service import Decisions, make_router
from aegis.serving.setting import ServeConfig

LOGGER = logging.getLogger("aegis.serving")
_MODEL_PATHS = ("/v1/completions", "/v1/embeddings", "/v1/models")
"""Further paths of language models' services, by which a client's mistake is known"""


def make_app(
    points: PointBook,
    config: ServeConfig | None = None,
    tokens: TokenBook | None = None,
    host: str = "127.0.0.1",
    metrics: Metrics | None = None,
    pages: APIRouter | None = None,
) -> RequestMiddleware:
    """Return the application over a workspace's points, which it closes when it ends.

    host: where it will listen. metrics: count what is served; its own by default. pages: further routes.
    """
    config, metrics = config or ServeConfig(), metrics or Metrics()
    admission = Admission(tokens or TokenBook(), config.limits, metrics)
    gateway = None
    if config.gateway is not None:
        points.read_claims()
        recording = Recording(points, metrics, find_tracer())
        assistant = Assistant(points, config.gateway, recording.hear)
        prompts = Prompts.of(config.points)
        gateway = Gateway(config.gateway, admission, assistant, recording, metrics, prompts)

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        yield
        if gateway is not None:
            await gateway.close()
        await asyncio.to_thread(admission.close)
        await asyncio.to_thread(points.close)

    app = FastAPI(
        title="AEGIS",
        version=__version__,
        summary="Decisions that move off a language model onto a small model of their own.",
        lifespan=live,
        docs_url=None,  # its page would be loaded from another host
        redoc_url=None,
    )
    decisions = Decisions(points, admission, metrics)
    app.include_router(make_router(decisions, lists_models=gateway is None))
    if pages is not None:
        app.include_router(pages)
    explain_errors(app, pages, passes=gateway is not None)
    sites = SiteCheck(host, config.allowed_hosts, config.allowed_origins)
    most = config.limits.max_body_bytes if config.gateway is None else config.gateway.max_body_bytes
    quick = QuickDecisions(app, decisions, admission)
    return RequestMiddleware(quick, gateway, config.limits, sites, metrics, gateway_bytes=most)


def explain_errors(app: FastAPI, pages: APIRouter | None = None, passes: bool | None = None) -> None:
    """Let an application answer an error with its status and what to do. pages: routes that its document leaves out.

    passes: whether it passes requests to language models on; None: it is not for these.
    """

    @app.exception_handler(Refusal)
    async def refuse(request: Request, error: Refusal) -> JSONResponse:
        return JSONResponse(fault_body(error.kind, str(error)), error.status, error.headers)

    @app.exception_handler(AegisError)
    async def answer_error(request: Request, error: AegisError) -> Response:
        fault = explain(error)
        return Response(fault.body, fault.status, fault.headers, "application/json")

    @app.exception_handler(RequestValidationError)
    async def refuse_fields(request: Request, error: RequestValidationError) -> JSONResponse:
        first: dict[str, Any] = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return JSONResponse(fault_body("field", f"{where}: {first['msg']}"), 422)

    @app.exception_handler(HTTPException)
    async def refuse_route(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # FastAPI's word on a body that the parser gave up
            unread = "body: can't be read as JSON: send UTF-8 text that is not nested too deeply"
            return JSONResponse(fault_body("field", unread), 400)
        asked = f"{request.method[:20]} {request.url.path[:100]!r}"
        named = _name_routes(app, pages) + ([f"POST {path} (the gateway)" for path in DIALECTS] if passes else [])
        hint = "" if passes is None else _hint(request.url.path, passes)
        message = f"{asked}: no such route: {hint}there are {', '.join(named)}"
        return JSONResponse(fault_body("route", message), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def break_off(request: Request, error: Exception) -> JSONResponse:
        LOGGER.error("%s %s: %s", request.method, request.url.path, type(error).__name__, exc_info=error)
        return JSONResponse(fault_body("fault", "an error inside AEGIS: see the server's log"), 500)


def _hint(path: str, passes: bool) -> str:
    """Return what to do about a request to a language model that came to the wrong place; '' for another request."""
    meant = path if path.startswith("/v1/") else f"/v1{path}"
    if meant not in (*DIALECTS, *_MODEL_PATHS):
        return ""
    if passes:
        return f"did you mean {meant}? End the client's base_url with /v1 (Anthropic's client adds it itself); "
    return "requests to a language model are passed on with --upstream URL or a [gateway] in the file of --config; "


def _name_routes(app: FastAPI, pages: APIRouter | None) -> list[str]:
    """Return the routes that a client may ask for: those of the application's document, or, without one, the pages'."""
    if app.openapi_url is None:
        found = [one for one in pages.routes if isinstance(one, APIRoute)] if pages is not None else []
        return [f"{method} {one.path}" for one in found for method in sorted(one.methods or ())]
    named = [f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods]
    return [*named, f"GET {app.openapi_url}", *(["GET / (the dashboard)"] if pages is not None else [])]
