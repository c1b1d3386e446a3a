"""What simple models reach on the same split: an HRM that does not beat them has not earned its place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from aegis.rendering import render_state
from aegis.types import Decision

_LEAST_PROBABILITY = 1e-6


def logistic_regression_accuracy(train: Sequence[Decision], heldout: Sequence[Decision]) -> float:
    """Return the held-out accuracy of logistic regression on TF-IDF of the states' words, learned from the actions."""
    labels = [decision.action.name for decision in train]
    if len(set(labels)) < 2:
        return float(np.mean([decision.action.name == labels[0] for decision in heldout]))
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)).fit(_texts(train), labels)
    return float(model.score(_texts(heldout), [decision.action.name for decision in heldout]))


def ridge_accuracy(train: Sequence[Decision], heldout: Sequence[Decision]) -> float:
    """Return the held-out accuracy of ridge regression on TF-IDF, learned from the teacher's log-probabilities.

    Decisions without recorded probabilities count as certain.
    """
    names = train[0].actions
    targets = np.log(np.clip([_distribution(decision) for decision in train], _LEAST_PROBABILITY, 1.0))
    model = make_pipeline(TfidfVectorizer(), Ridge()).fit(_texts(train), targets)
    picked = model.predict(_texts(heldout)).argmax(axis=1)
    return float(
        np.mean([names[place] == decision.action.name for place, decision in zip(picked, heldout, strict=True)])
    )


def _texts(decisions: Sequence[Decision]) -> list[str]:
    return [render_state(decision.state) for decision in decisions]


def _distribution(decision: Decision) -> list[float]:
    if decision.probabilities is not None:
        return list(decision.probabilities)
    return [float(name == decision.action.name) for name in decision.actions]
