"""Promotion: measuring a candidate, judging it, and which policy serves.

Its rooms are imported when one of their names is first used: to read what serves takes no scikit-learn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aegis.promotion.answers import HeldoutAnswers, keep_answers, read_answers, write_answers
    from aegis.promotion.baseline import (
        bigram_regression_accuracy,
        gradient_boosting_accuracy,
        logistic_regression_accuracy,
        majority_accuracy,
        ridge_accuracy,
        sentence_embeddings_installed,
        sentence_ridge_accuracy,
    )
    from aegis.promotion.calibration import CalibrationEstimate, estimate_calibration
    from aegis.promotion.deferral import (
        CurvePoint,
        DeferringPolicy,
        Expense,
        accuracy_of_surest,
        deferral_curve,
        time_policy,
    )
    from aegis.promotion.evidence import FallDetector, confidence_sequence
    from aegis.promotion.gate import Rule, Verdict, judge
    from aegis.promotion.metrics import ActionMetrics, Agreement, measure_agreement
    from aegis.promotion.monitor import Watch, WatchLevel
    from aegis.promotion.registry import ModelEvent, ModelRegistry, ModelVersion, Serving

__all__ = [
    "ActionMetrics",
    "Agreement",
    "CalibrationEstimate",
    "CurvePoint",
    "DeferringPolicy",
    "Expense",
    "FallDetector",
    "HeldoutAnswers",
    "ModelEvent",
    "ModelRegistry",
    "ModelVersion",
    "Rule",
    "Serving",
    "Verdict",
    "Watch",
    "WatchLevel",
    "accuracy_of_surest",
    "bigram_regression_accuracy",
    "confidence_sequence",
    "deferral_curve",
    "estimate_calibration",
    "gradient_boosting_accuracy",
    "judge",
    "keep_answers",
    "logistic_regression_accuracy",
    "majority_accuracy",
    "measure_agreement",
    "read_answers",
    "ridge_accuracy",
    "sentence_embeddings_installed",
    "sentence_ridge_accuracy",
    "time_policy",
    "write_answers",
]

_ROOM_OF = {
    "ActionMetrics": "metrics",
    "Agreement": "metrics",
    "CalibrationEstimate": "calibration",
    "estimate_calibration": "calibration",
    "CurvePoint": "deferral",
    "DeferringPolicy": "deferral",
    "Expense": "deferral",
    "HeldoutAnswers": "answers",
    "ModelEvent": "registry",
    "ModelRegistry": "registry",
    "ModelVersion": "registry",
    "Rule": "gate",
    "Serving": "registry",
    "Verdict": "gate",
    "Watch": "monitor",
    "WatchLevel": "monitor",
    "accuracy_of_surest": "deferral",
    "confidence_sequence": "evidence",
    "FallDetector": "evidence",
    "deferral_curve": "deferral",
    "judge": "gate",
    "keep_answers": "answers",
    "measure_agreement": "metrics",
    "read_answers": "answers",
    "time_policy": "deferral",
    "write_answers": "answers",
}
"""The rooms of the names above; those not named here are simple models, in `baseline`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOM_OF.get(name, 'baseline')}"), name)
