"""The dashboard's routes: the page, what it shows, and what its owner may do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from aegis import __version__
from aegis.dashboard import inbox, knowledge, learning, model, pausing, stream
from aegis.dashboard.decisions import decision, heldout, likeness, listing, reading, relabel
from aegis.dashboard.decisions.filter import Filter
from aegis.dashboard.decisions.indexing import Indexing
from aegis.dashboard.page import PAGE
from aegis.dashboard.place import Places
from aegis.dashboard.session import HEADERS, Session, read_token
from aegis.errors import ActionError, CheckpointError, StoreError
from aegis.serving.admission import Admission
from aegis.serving.middleware import Refusal

T = TypeVar("T")
Point = Annotated[str, Query(max_length=64, description="A decision point; none: the agent's own")]
Words = Annotated[str, Query(max_length=200)]
Text = Annotated[str, Field(max_length=2_000)]


class _Action(BaseModel):
    model_config = ConfigDict(extra="forbid")

    point: str = Field("", max_length=64)


class Answer(_Action):
    """A person's answer to a question."""

    number: int
    text: Text


class Settlement(_Action):
    """A person's word on a proposal."""

    number: int
    approved: bool
    note: Text = ""


class Change(_Action):
    """Which version is to decide: its name, or `teacher`."""

    to: str = Field(max_length=100)
    reason: Text


class Correction(_Action):
    """The action that was right for a decision."""

    id: str = Field(max_length=200)
    action: str = Field(max_length=200)


class Pause(_Action):
    """Whether the agent is to wait."""

    paused: bool


class Done(BaseModel):
    """What was done, in words."""

    done: str


def make_pages(places: Places, session: Session, admission: Admission) -> APIRouter:
    """Return the routes of a dashboard. admission: does their work in threads."""
    indexing = Indexing(places.workspaces)
    router = APIRouter(include_in_schema=False, lifespan=indexing.live)
    _add_page(router, session)
    _add_views(router, places, session, admission, indexing)
    _add_stream(router, places, session, admission)
    _add_actions(router, places, session, admission)
    return router


def _add_page(router: APIRouter, session: Session) -> None:
    def show(name: str, status: int = 200) -> Response:
        content, kind = PAGE[name]
        return Response(content, status, HEADERS, f"{kind}; charset=utf-8")

    @router.get("/")
    async def page(request: Request, token: str = "") -> Response:
        if token:  # of the address that the command printed
            return session.begin(request, token) or show("login.html", 401)
        return show("index.html") if session.is_open(request) else show("login.html", 401)

    @router.post("/session")
    async def log_in(request: Request) -> Response:
        return session.begin(request, await read_token(request)) or show("login.html", 401)

    @router.get("/page/{name}")
    async def file(name: str) -> Response:
        if name not in PAGE:
            raise Refusal(404, "route", f"the page has no file {name[:100]!r}")
        return show(name)


def _add_views(router: APIRouter, places: Places, session: Session, admission: Admission, indexing: Indexing) -> None:
    looks = [session.looks()]

    async def read(job: Callable[[], Any]) -> JSONResponse:
        return JSONResponse(await admission.work(job), headers=HEADERS)

    @router.get("/api/status", dependencies=looks)
    async def status() -> JSONResponse:
        indexing.begin()
        about = {"version": __version__, "read_only": session.read_only}
        return await read(lambda: about | places.to_record())

    @router.get("/api/decisions", dependencies=looks)
    async def decisions(
        chosen: Annotated[_Asked, Query()], point: Point = "", before: int | None = None
    ) -> JSONResponse:
        return await read(lambda: listing.list_page(places.find(point), chosen.to_filter(), before))

    @router.get("/api/decisions/{id}", dependencies=looks)
    async def whole(id: str, point: Point = "") -> JSONResponse:
        return await read(lambda: decision.read_whole(places.find(point), id))

    @router.get("/api/decisions/{id}/read", dependencies=looks)
    async def read_by_model(id: str, point: Point = "") -> JSONResponse:
        return await read(lambda: reading.read_as_model(places.find(point), id))

    @router.get("/api/decisions/{id}/like", dependencies=looks)
    async def alike(id: str, point: Point = "") -> JSONResponse:
        return await read(lambda: likeness.read_like(places.find(point), id))

    @router.get("/api/learning", dependencies=looks)
    async def learned(point: Point = "") -> JSONResponse:
        return await read(lambda: learning.read_learning(places.find(point)))

    @router.get("/api/models", dependencies=looks)
    async def models(point: Point = "") -> JSONResponse:
        return await read(lambda: model.read_versions(places.find(point)))

    @router.get("/api/knowledge", dependencies=looks)
    async def known(point: Point = "", query: Words = "", source: Words = "") -> JSONResponse:
        return await read(lambda: knowledge.read_knowledge(places.find(point), query, source))

    @router.get("/api/compare", dependencies=looks)
    async def compared(one: str, other: str, point: Point = "") -> JSONResponse:
        return await read(lambda: heldout.compare_versions(places.find(point), one, other))

    @router.get("/api/inbox", dependencies=looks)
    async def waiting(point: Point = "") -> JSONResponse:
        return await read(lambda: inbox.read_inbox(places.find(point), sees=not session.read_only))


class _Asked(BaseModel):
    """A filter, as the address has it."""

    action: str = Field("", max_length=200)
    policy: str = Field("", max_length=200)
    deferred: bool = False
    why: Literal["", "unsure", "unlike"] = ""
    drifted: bool = False
    wrong: bool = False
    text: str = Field("", max_length=200)
    since: datetime | None = None
    until: datetime | None = None

    def to_filter(self) -> Filter:
        """Return the filter."""
        return Filter(**dict(self))


def _add_stream(router: APIRouter, places: Places, session: Session, admission: Admission) -> None:
    @router.get("/api/stream", dependencies=[session.looks()])
    async def live(request: Request, point: Point = "", after: str = "") -> StreamingResponse:
        place = await admission.work(lambda: places.find(point))
        cursor = stream.Cursor.parse(request.headers.get("last-event-id", after))
        if cursor is None:
            cursor = await admission.work(lambda: stream.newest_cursor(place))
        events = stream.follow(place, cursor, admission.work)
        return StreamingResponse(events, headers=HEADERS, media_type="text/event-stream")


def _add_actions(router: APIRouter, places: Places, session: Session, admission: Admission) -> None:
    acts = [session.acts()]

    async def do(job: Callable[[], str]) -> Done:
        try:
            return Done(done=await admission.work(job))
        except (ActionError, StoreError, CheckpointError) as error:
            raise Refusal(409, "action", str(error)) from error

    @router.post("/api/answer", dependencies=acts)
    async def answer(asked: Answer) -> Done:
        return await do(lambda: inbox.answer(places.find(asked.point), asked.number, asked.text))

    @router.post("/api/settle", dependencies=acts)
    async def settle(asked: Settlement) -> Done:
        return await do(lambda: inbox.settle(places.find(asked.point), asked.number, asked.approved, asked.note))

    @router.post("/api/relabel", dependencies=acts)
    async def correct(asked: Correction) -> Done:
        return await do(lambda: relabel.relabel(places.find(asked.point), asked.id, asked.action))

    @router.post("/api/pause", dependencies=acts)
    async def pause(asked: Pause) -> Done:
        return await do(lambda: pausing.set_paused(places.find(asked.point), asked.paused))

    @router.post("/api/promote", dependencies=acts)
    async def promote(asked: Change) -> Done:
        return await do(lambda: model.promote(places.find(asked.point), asked.to, asked.reason))

    @router.post("/api/rollback", dependencies=acts)
    async def roll_back(asked: Change) -> Done:
        return await do(lambda: model.roll_back(places.find(asked.point), asked.to, asked.reason))
