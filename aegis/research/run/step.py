"""A step of the agent, told: in words for a person, in fields for a machine."""

from __future__ import annotations

from typing import Any

from aegis.research.loop import Step


def describe_step(step: Step) -> str:
    """Return a decision and its outcome, in words."""
    argument = "".join(step.decision.action.argument.values())
    return f"{step.decision.action.name} {argument}: {step.outcome.detail}".replace(" :", ":")


def step_fields(step: Step, seconds: float) -> dict[str, Any]:
    """Return a decision and its outcome as a `decided` event's fields; seconds: how long the decision took."""
    decision, outcome = step.decision, step.outcome
    return {
        "id": decision.id,
        "episode": decision.episode,
        "step": decision.step,
        "policy": decision.policy,
        "action": decision.action.name,
        "argument": dict(decision.action.argument),
        "status": outcome.status,
        "gained": outcome.gained,
        "reward": outcome.reward,
        "detail": outcome.detail,
        "seconds": round(seconds, 6),
    }
