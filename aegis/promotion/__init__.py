"""Promotion: measuring a candidate, judging it, and which policy serves.

Its rooms are imported when one of their names is first used: to read what serves takes no scikit-learn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aegis.promotion.baseline import (
        bigram_regression_accuracy,
        gradient_boosting_accuracy,
        logistic_regression_accuracy,
        majority_accuracy,
        ridge_accuracy,
        sentence_embeddings_installed,
        sentence_ridge_accuracy,
    )
    from aegis.promotion.gate import Verdict, judge
    from aegis.promotion.metrics import ActionMetrics, Agreement, measure_agreement
    from aegis.promotion.registry import ModelRegistry, Serving

__all__ = [
    "ActionMetrics",
    "Agreement",
    "ModelRegistry",
    "Serving",
    "Verdict",
    "bigram_regression_accuracy",
    "gradient_boosting_accuracy",
    "judge",
    "logistic_regression_accuracy",
    "majority_accuracy",
    "measure_agreement",
    "ridge_accuracy",
    "sentence_embeddings_installed",
    "sentence_ridge_accuracy",
]

_ROOM_OF = {
    "ActionMetrics": "metrics",
    "Agreement": "metrics",
    "ModelRegistry": "registry",
    "Serving": "registry",
    "Verdict": "gate",
    "judge": "gate",
    "measure_agreement": "metrics",
}
"""The rooms of the names above; those not named here are simple models, in `baseline`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOM_OF.get(name, 'baseline')}"), name)
