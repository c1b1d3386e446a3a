"""Promotion: measure a candidate, judge it, and record which policy serves.

Each room is imported on first access to one of its names, so that reading which policy serves needs no scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.packages import on_demand

if TYPE_CHECKING:
    from aegis.promotion.certifying.certificate import PROMISED, Certificate, certify_answers, least_heldout
    from aegis.promotion.judging.answers import HeldoutAnswers, keep_answers, read_answers, write_answers
    from aegis.promotion.judging.baseline import (
        bigram_regression_accuracy,
        fields_words_accuracy,
        fields_words_right,
        fit_fields_words,
        gradient_boosting_accuracy,
        logistic_regression_accuracy,
        majority_accuracy,
        paired_lead,
        ridge_accuracy,
        sentence_embeddings_installed,
        sentence_ridge_accuracy,
    )
    from aegis.promotion.judging.calibration import CalibrationEstimate, estimate_calibration
    from aegis.promotion.judging.deferral import (
        CurvePoint,
        Expense,
        accuracy_of_surest,
        deferral_curve,
        time_policy,
    )
    from aegis.promotion.judging.gate import Rule, Verdict, judge, judge_part
    from aegis.promotion.judging.metrics import ActionMetrics, Agreement, measure_agreement
    from aegis.promotion.monitoring.evidence import FallDetector, confidence_sequence
    from aegis.promotion.monitoring.monitor import AgreementMonitor, MonitorLevel
    from aegis.promotion.registry import ModelEvent, ModelRegistry, ModelVersion, Serving

__all__ = [
    "PROMISED",
    "ActionMetrics",
    "Agreement",
    "AgreementMonitor",
    "CalibrationEstimate",
    "Certificate",
    "CurvePoint",
    "Expense",
    "FallDetector",
    "HeldoutAnswers",
    "ModelEvent",
    "ModelRegistry",
    "ModelVersion",
    "MonitorLevel",
    "Rule",
    "Serving",
    "Verdict",
    "accuracy_of_surest",
    "bigram_regression_accuracy",
    "certify_answers",
    "confidence_sequence",
    "deferral_curve",
    "estimate_calibration",
    "fields_words_accuracy",
    "fields_words_right",
    "fit_fields_words",
    "gradient_boosting_accuracy",
    "judge",
    "judge_part",
    "keep_answers",
    "least_heldout",
    "logistic_regression_accuracy",
    "majority_accuracy",
    "measure_agreement",
    "paired_lead",
    "read_answers",
    "ridge_accuracy",
    "sentence_embeddings_installed",
    "sentence_ridge_accuracy",
    "time_policy",
    "write_answers",
]

_ROOMS = {
    "certifying.certificate": (
        "PROMISED",
        "Certificate",
        "certify_answers",
        "least_heldout",
    ),
    "judging.answers": (
        "HeldoutAnswers",
        "keep_answers",
        "read_answers",
        "write_answers",
    ),
    "judging.baseline": (
        "bigram_regression_accuracy",
        "fields_words_accuracy",
        "fields_words_right",
        "fit_fields_words",
        "gradient_boosting_accuracy",
        "logistic_regression_accuracy",
        "majority_accuracy",
        "paired_lead",
        "ridge_accuracy",
        "sentence_embeddings_installed",
        "sentence_ridge_accuracy",
    ),
    "judging.calibration": (
        "CalibrationEstimate",
        "estimate_calibration",
    ),
    "judging.deferral": (
        "CurvePoint",
        "Expense",
        "accuracy_of_surest",
        "deferral_curve",
        "time_policy",
    ),
    "monitoring.evidence": (
        "FallDetector",
        "confidence_sequence",
    ),
    "judging.gate": (
        "Rule",
        "Verdict",
        "judge",
        "judge_part",
    ),
    "judging.metrics": (
        "ActionMetrics",
        "Agreement",
        "measure_agreement",
    ),
    "monitoring.monitor": (
        "AgreementMonitor",
        "MonitorLevel",
    ),
    "registry": (
        "ModelEvent",
        "ModelRegistry",
        "ModelVersion",
        "Serving",
    ),
}

__getattr__ = on_demand(__name__, _ROOMS, "the comparison with simple models", "train")
