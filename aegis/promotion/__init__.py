"""Promotion: measuring a candidate, judging it, and which policy serves."""

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
