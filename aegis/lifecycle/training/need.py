"""How many decisions a promised agreement needs at least: with fewer, a training is in vain whatever it learns."""

from __future__ import annotations

import math

from aegis.config.plan import TrainingPlan
from aegis.promotion import least_heldout


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
