"""The routes of decisions: `/v1/decisions`, `/v1/outcomes`, and what there is to see of points and models."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response

from aegis import __version__
from aegis.serving import schema
from aegis.serving.admission import Admission
from aegis.serving.metric import Metrics
from aegis.serving.point import PointBook
from aegis.workspace import MODEL_PREFIXES

_FAULTS: dict[int | str, dict[str, Any]] = {
    400: {"model": schema.FaultAnswer, "description": "The state or the report can't be used"},
    401: {"model": schema.FaultAnswer, "description": "No token, or an unknown one"},
    403: {"model": schema.FaultAnswer, "description": "The token lacks the scope, or another site's page asks"},
    404: {"model": schema.FaultAnswer, "description": "No such decision point or decision"},
    409: {"model": schema.FaultAnswer, "description": "The point has no such action"},
    413: {"model": schema.FaultAnswer, "description": "The body is too long"},
    422: {"model": schema.FaultAnswer, "description": "A field is missing or out of form"},
    429: {"model": schema.FaultAnswer, "description": "Too many requests in a second; see Retry-After"},
    502: {"model": schema.FaultAnswer, "description": "The teacher failed"},
    503: {"model": schema.FaultAnswer, "description": "Nobody can decide, or too much is in progress (Retry-After)"},
    504: {"model": schema.FaultAnswer, "description": "The decision takes too long"},
}


class Decisions:
    """The points of a server, as its routes ask them: within the limits, and counted."""

    def __init__(self, points: PointBook, admission: Admission, metrics: Metrics) -> None:
        self.points = points
        self.admission = admission
        self.metrics = metrics

    async def decide(self, asked: schema.DecisionRequest) -> schema.DecisionAnswer:
        """Return a point's decision, recorded; or only record the one that was made (`decided`)."""
        point, state, taken = asked.point, asked.state, asked.decided
        options: Mapping[str, Any] = {"offered": asked.offered, "episode": asked.episode}
        if taken is None:
            soon = self.points.decide_soon
            decided = await self.admission.wait(lambda: asyncio.wrap_future(soon(point, state, **options)))
            if decided is None:
                decided = await self.admission.work(lambda: self.points.decide(point, state, **options))
            self.metrics.note_decision(point, "hrm" if decided.policy.startswith(MODEL_PREFIXES) else "teacher")
        else:
            decided = await self.admission.work(lambda: self.points.record(point, state, taken, **options))
            self.metrics.note_decision(point, "client")
        return schema.DecisionAnswer.of(point, decided)


def make_router(decisions: Decisions, lists_models: bool = True) -> APIRouter:
    """Return the routes. lists_models: whether `/v1/models` is the HRMs' and not the upstream's."""
    points, admission, metrics = decisions.points, decisions.admission, decisions.metrics
    router = APIRouter(responses=_FAULTS)
    _add_decisions(router, decisions)
    _add_views(router, points, admission, metrics)
    if lists_models:
        _add_models(router, points, admission)

    @router.get("/health", tags=["server"], responses={}, summary="Whether the server answers")
    async def health() -> schema.HealthAnswer:
        return schema.HealthAnswer()

    return router


def _add_decisions(router: APIRouter, decisions: Decisions) -> None:
    points, admission, metrics = decisions.points, decisions.admission, decisions.metrics

    @router.post(
        "/v1/decisions", tags=["decisions"], dependencies=[admission.needs("decide")], summary="Decide, or record"
    )
    async def decide(asked: schema.DecisionRequest) -> schema.DecisionAnswer:
        """Return the action for a state, recorded on the disk: by the point's HRM or its teacher.

        Where neither can decide, the answer is 503: decide yourself, and send the same request with `decided`.
        """
        return await decisions.decide(asked)

    @router.post(
        "/v1/outcomes", tags=["decisions"], dependencies=[admission.needs("report")], summary="Report an outcome"
    )
    async def report(asked: schema.OutcomeRequest) -> schema.OutcomeAnswer:
        """Record what came of a decision; on the disk when this returns. The newest report counts."""
        fields: Mapping[str, Any] = asked.model_dump(exclude={"point", "decision"})
        await admission.work(lambda: points.report(asked.point, asked.decision, **fields))
        metrics.note_outcome(asked.point)
        return schema.OutcomeAnswer(decision=asked.decision)

    @router.post(
        "/v1/feedback", tags=["decisions"], dependencies=[admission.needs("report")], summary="Report by any id"
    )
    async def feed_back(asked: schema.FeedbackRequest) -> schema.FeedbackAnswer:
        """Record what came of a decision, or of every decision that a model's response made, any time later."""
        fields: Mapping[str, Any] = asked.model_dump(exclude={"point", "id"})
        found = await admission.work(lambda: points.report_by_id(asked.id, asked.point, **fields))
        for point, _ in found:
            metrics.note_outcome(point)
        return schema.FeedbackAnswer(decisions=[schema.Place(point=point, decision=id) for point, id in found])


def _add_views(router: APIRouter, points: PointBook, admission: Admission, metrics: Metrics) -> None:
    manage = [admission.needs("manage")]

    @router.get("/v1/status", tags=["views"], dependencies=manage, summary="Where every point stands, in full")
    async def status() -> schema.StatusAnswer:
        standings = await admission.work(lambda: {name: points.standing(name).to_record() for name in points.names()})
        return schema.StatusAnswer(version=__version__, points=standings)

    @router.get("/v1/points", tags=["views"], dependencies=manage, summary="The decision points")
    async def list_points() -> schema.PointsAnswer:
        found = await admission.work(lambda: [_describe(points, name) for name in points.names()])
        return schema.PointsAnswer(points=found)

    @router.get("/v1/savings", tags=["views"], dependencies=manage, summary="What calls took, and would have taken")
    async def show_savings() -> schema.SavingsAnswer:
        """Return what was measured at each point, and apart from it what is estimated."""
        bills = await admission.work(points.bills)
        found = {name: schema.BillAnswer.model_validate(bill.to_record()) for name, bill in bills.items()}
        return schema.SavingsAnswer(points=found)

    @router.get("/v1/points/{point}/models", tags=["views"], dependencies=manage, summary="The HRMs of one point")
    async def list_models_of(point: str) -> schema.ModelsAnswer:
        return schema.ModelsAnswer(data=await admission.work(lambda: _models(points, point)))

    @router.get("/metrics", tags=["server"], dependencies=manage, response_class=Response, summary="For Prometheus")
    async def show_metrics() -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4")


def _add_models(router: APIRouter, points: PointBook, admission: Admission) -> None:
    @router.get(
        "/v1/models", tags=["views"], dependencies=[admission.needs("manage")], summary="The HRMs of every point"
    )
    async def list_models() -> schema.ModelsAnswer:
        found = await admission.work(lambda: [one for name in points.names() for one in _models(points, name)])
        return schema.ModelsAnswer(data=found)


def _describe(points: PointBook, name: str) -> schema.PointAnswer:
    standing = points.standing(name)
    return schema.PointAnswer(
        name=name,
        phase=standing.phase,
        teacher=standing.teacher,
        serving=standing.serving,
        decisions=standing.decisions,
        hrm_decisions=standing.hrm_decisions,
        actions=dict(standing.actions),
    )


def _models(points: PointBook, name: str) -> list[schema.ModelAnswer]:
    return [
        schema.ModelAnswer(
            id=f"{name}/{version.name}",
            created=int(datetime.fromisoformat(version.made_at).timestamp()) if version.made_at else 0,
            point=name,
            serves=version.serves,
            figures=dict(version.figures),
        )
        for version in points.models(name)
    ]
