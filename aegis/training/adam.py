"""One step of AdamW, for the parameters of a model and for the rows of a table.

It calls torch's functional AdamW: torch's optimizer classes would import torch._dynamo, which takes seconds and 70 MB.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.optim.adamw import adamw

BETAS = (0.9, 0.95)
EPSILON = 1e-8
MOMENTS = ("exp_avg", "exp_avg_sq")


def take_step(
    weights: Tensor,
    gradient: Tensor,
    state: Mapping[str, Tensor],
    rate: float,
    decay: float,
    scale: Tensor | None,
) -> None:
    """Update the weights in place, and the moments and the step count in `state`.

    rate: the learning rate. scale: the divisor of the gradient; None for 1.
    """
    adamw(
        [weights],
        [gradient],
        [state["exp_avg"]],
        [state["exp_avg_sq"]],
        [],
        [state["step"]],
        fused=True,
        grad_scale=scale,
        amsgrad=False,
        beta1=BETAS[0],
        beta2=BETAS[1],
        lr=rate,
        weight_decay=decay,
        eps=EPSILON,
        maximize=False,
    )
