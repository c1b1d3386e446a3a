"""The fields of requests and answers, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from aegis.door import Decided

Name = Annotated[str, Field(min_length=1, max_length=64, description="A decision point", examples=["support-router"])]
Id = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=10_000)]
Offered = Annotated[list[Id], Field(min_length=1, max_length=5_000, json_schema_extra={"uniqueItems": True})]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DecisionRequest(_Strict):
    """A state to decide in; or, with `decided`, a decision that was made already and is only recorded."""

    point: Name
    state: dict[str, Any] | str | list[dict[str, Any]] = Field(
        description="An object, a text, or chat messages; not empty",
        examples=[{"ticket": "My phone is broken"}],
        json_schema_extra={"not": {"anyOf": [{"enum": [{}, []]}, {"type": "string", "pattern": r"^\s*$"}]}},
    )
    episode: Id | None = Field(None, description="The conversation, task or user that the decision belongs to")
    decided: Id | None = Field(None, description="The action that was taken: it is recorded, and nobody is asked")
    offered: Offered | None = Field(None, description="Actions on offer for this decision; by default all")


class DecisionAnswer(BaseModel):
    """A decision that is recorded."""

    id: str
    point: str
    action: str = Field(description="The action to carry out")
    probabilities: dict[str, float]
    policy: str = Field(description="Who decided, e.g. `gpt-4.1-mini` or `hrm@1`")
    episode: str
    propensity: float | None = Field(description="The probability with which the action was drawn, where it was")
    out_of_distribution: bool | None

    @classmethod
    def of(cls, point: str, decided: Decided) -> DecisionAnswer:
        """Return the answer that shows a decision."""
        return cls(
            id=decided.id,
            point=point,
            action=decided.action,
            probabilities=dict(decided.probabilities),
            policy=decided.policy,
            episode=decided.episode,
            propensity=decided.propensity,
            out_of_distribution=decided.out_of_distribution,
        )


_GIVEN: dict[str, Any] = {
    "reward": {"properties": {"reward": {"type": "number"}}, "required": ["reward"]},
    "parts": {"properties": {"parts": {"type": "object"}}, "required": ["parts"]},
    "unknown": {"properties": {"status": {"const": "unknown"}}, "required": ["status"]},
}
_NEVER_TOGETHER = (("reward", "parts"), ("unknown", "reward"), ("unknown", "parts"))


class _Report(_Strict):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"allOf": [{"not": {"allOf": [_GIVEN[one], _GIVEN[two]]}} for one, two in _NEVER_TOGETHER]},
    )

    reward: FiniteFloat | None = Field(None, description="Takes the place of an earlier report's")
    parts: dict[str, FiniteFloat] | None = Field(None, min_length=1, description="Join the parts reported before")
    status: Literal["ok", "failed", "unknown"] = "ok"
    detail: Text = ""
    result: dict[str, Any] = Field({}, description="What the action returned")


class OutcomeRequest(_Report):
    """What came of a decision, any time later: the whole reward, or named parts of it that come one by one."""

    point: Name
    decision: Id = Field(description="The decision's id")


class FeedbackRequest(_Report):
    """As an outcome, by the id that the caller has: a decision's, or the response's that made it."""

    id: Id = Field(description="A decision's id, or the id of a language model's response", examples=["chatcmpl-1"])
    point: Name | None = Field(None, description="Where to look; by default at every point")


class Place(BaseModel):
    point: str
    decision: str


class FeedbackAnswer(BaseModel):
    """The outcome is on the disk, for each of these decisions."""

    decisions: list[Place]


class TookAnswer(BaseModel):
    """What calls of a language model took."""

    calls: float
    counted: float = Field(description="Calls whose tokens are known; the others' are in no sum")
    read: float = Field(description="Tokens")
    written: float
    dollars: float | None = Field(description="By the workspace's prices.toml; null where a model has no price there")
    seconds: float


class MeasuredAnswer(BaseModel):
    """What was counted."""

    upstream: TookAnswer
    forced: float = Field(description="Of the upstream's calls, those whose tool the HRM had chosen")
    answered: float = Field(description="Calls that an HRM answered alone")
    answered_seconds: float


class BillAnswer(BaseModel):
    measured: MeasuredAnswer
    estimated: TookAnswer | None = Field(
        description="What the calls that an HRM answered would have taken, at the mean of the upstream's"
    )


class SavingsAnswer(BaseModel):
    points: dict[str, BillAnswer]


class OutcomeAnswer(BaseModel):
    """The outcome is on the disk."""

    decision: str


class PointAnswer(BaseModel):
    """Where a decision point stands."""

    name: str
    phase: int = Field(description="1 data collection, 2 training, 3 switch, 4 learning from rewards")
    teacher: str | None
    serving: str | None = Field(description="Who decides next")
    decisions: int
    hrm_decisions: int
    actions: dict[str, int] = Field(description="The teacher's decisions by action")


class PointsAnswer(BaseModel):
    points: list[PointAnswer]


class StatusAnswer(BaseModel):
    version: str
    points: dict[str, dict[str, Any]] = Field(
        description="By name what `aegis status --json` says of each point, but for its savings"
    )


class ModelAnswer(BaseModel):
    """An HRM, in the form of OpenAI's list of models."""

    id: str = Field(examples=["support-router/hrm@1"])
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["aegis"] = "aegis"
    point: str
    serves: bool
    figures: dict[str, Any] = Field(description="What it was trained on and reached on held-out decisions")


class ModelsAnswer(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelAnswer]


class Fault(BaseModel):
    type: str
    message: str = Field(description="What was wrong, and what to do")
    actions: list[str] | None = Field(None, description="With `nobody_decides`: the actions to choose among")


class FaultAnswer(BaseModel):
    """Any answer with a status from 400."""

    error: Fault


class HealthAnswer(BaseModel):
    status: Literal["ok"] = "ok"
