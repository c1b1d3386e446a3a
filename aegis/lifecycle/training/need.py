"""What a training needs before it can begin: enough decisions for a promised agreement, and the installed packages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aegis.config.plan import TrainingPlan
from aegis.errors import MissingPackageError
from aegis.packages import require
from aegis.promotion import least_heldout
from aegis.store import TrainingLog


def first_training_at(collect: int, plan: TrainingPlan) -> int:
    """Return how many of the teacher's decisions start the first training: `collect`, or what the promise needs."""
    return max(collect, least_decisions(plan))


def least_decisions(plan: TrainingPlan) -> int:
    """Return the fewest decisions of which enough are held out to certify what a plan promises; 0 for no promise."""
    promised = plan.gate.agreement
    return 0 if promised is None else math.ceil(least_heldout(promised) / plan.training.heldout_share)


def explain_need(collected: int, plan: TrainingPlan) -> str:
    """Return why so many decisions are too few for what a plan promises; '' where they may do."""
    least = least_decisions(plan)
    if collected >= least or plan.gate.agreement is None:
        return ""
    promised, heldout = f"{100 * plan.gate.agreement:g}%", least_heldout(plan.gate.agreement)
    return (
        f"{collected} decisions can't certify an agreement of {promised}: that takes at least {heldout}"
        f" held-out decisions without a miss, so {least} in all ({100 * plan.training.heldout_share:g}% are held out)"
    )


def missing_package() -> str:
    """Return which package a training lacks here, and how to install it; '' where it has all. Nothing is imported."""
    try:
        for module in ("torch", "sklearn", "scipy"):
            require(module, "training", "train")
    except MissingPackageError as error:
        return f"{error}, then start again; until then decisions are recorded, and no training begins"
    return ""


def note_needs(collect: int, plan: TrainingPlan) -> dict[str, Any]:
    """Return what whoever trains at a point notes there, for the commands that show where it stands."""
    needs, lacks = explain_need(collect, plan), missing_package()
    return {"collect": first_training_at(collect, plan), "needs": needs, "lacks": lacks}


def read_needs(log: TrainingLog, agent: Mapping[str, Any], trains: bool) -> str:
    """Return what of that note still holds. agent: the note. trains: whether whoever noted it is to train now."""
    return str((trains and agent.get("lacks")) or (not log.latest_of_workspace() and agent.get("needs")) or "")
