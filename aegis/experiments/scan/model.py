"""Simple models that learn in seconds: what they reach is what a good imitation should reach at the least.

Each returns one probability per action for decisions that it has not seen.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from aegis.experiments.scan.sample import Row

Probabilities = NDArray[np.float64]
Model = Callable[[Sequence[Row], Sequence[Row], Sequence[str]], Probabilities]
"""Learns from the first rows and returns probabilities (n, A) for the second, in the order of the actions."""

_ITERATIONS = 100
_LOGISTIC_ACTIONS = 10
"""Logistic regression takes minutes on a hundred actions, ridge regression seconds."""
_RIDGE_PENALTY, _CLOSE_PENALTY = 1.0, 0.1
"""Among few actions the strong one takes more (shipped decisions, out of fold: 71% at 95% agreement against 58%), among
many the weak one (82 tools of `bfcl-eval`: 21% against 9%)."""
_RIDGE_SHARPNESS = 30.0
"""Of the softmax over its scores. So sharp, a confidence is the lead over the second action, which tells more than the
first action's score."""
_TREES = 100
_COMMON_SHARE = 0.995
"""A word that more states have than this tells none of them apart."""
_TABLE_FIELDS = 3
_TABLE_VALUES = 30


def commonest_action(train: Sequence[Row], asked: Sequence[Row], actions: Sequence[str]) -> Probabilities:
    """Answer each state by how often each action was taken."""
    counts = Counter(row.action for row in train)
    shares = np.array([counts[name] for name in actions], dtype=float)
    return np.tile(shares / shares.sum(), (len(asked), 1))


def field_table(train: Sequence[Row], asked: Sequence[Row], actions: Sequence[str]) -> Probabilities:
    """Answer by a table of at most three fields of the state (`choose_fields`)."""
    chosen = choose_fields(train, len(actions))
    prior = commonest_action(train, asked[:1], actions)[0]
    cells = _cells(train, chosen)
    answers = []
    for row in asked:
        counts = cells.get(_cell(row, chosen), Counter())
        seen = np.array([counts[name] for name in actions], dtype=float)
        answers.append((seen + prior) / (seen.sum() + 1))
    return np.array(answers)


def choose_fields(train: Sequence[Row], actions: int) -> tuple[str, ...]:
    """Return at most three fields, each taken in where it says more of the action than it costs (BIC)."""
    chosen: tuple[str, ...] = ()
    best = _worth(train, chosen, actions)
    candidates = _few_valued(train)
    while len(chosen) < _TABLE_FIELDS:
        worths = {name: _worth(train, (*chosen, name), actions) for name in candidates if name not in chosen}
        if not worths or max(worths.values()) <= best:
            break
        name = max(worths, key=worths.__getitem__)
        chosen, best = (*chosen, name), worths[name]
    return chosen


def words_regression(train: Sequence[Row], asked: Sequence[Row], actions: Sequence[str]) -> Probabilities:
    """Answer by regression on TF-IDF of the words: logistic, or ridge where the actions are many."""
    vectorizer = TfidfVectorizer(max_df=_COMMON_SHARE)
    if len(actions) > _LOGISTIC_ACTIONS:
        return _ridge(vectorizer, train, asked, actions)
    features = _features(vectorizer, train, asked)
    if features is None or len({row.action for row in train}) < 2:
        return commonest_action(train, asked, actions)
    model = LogisticRegression(C=10.0, max_iter=_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough, in seconds
        model.fit(features[0], [row.action for row in train])
    return _spread(model.predict_proba(features[1]), model.classes_, actions)


def pairs_regression(train: Sequence[Row], asked: Sequence[Row], actions: Sequence[str]) -> Probabilities:
    """Answer by ridge regression on TF-IDF of words as they stand with their marks, and pairs of them."""
    return _ridge(_pairs(), train, asked, actions)


def close_pairs_regression(train: Sequence[Row], asked: Sequence[Row], actions: Sequence[str]) -> Probabilities:
    """Answer as `pairs_regression` does, fitted closer: rare actions have few examples to learn from."""
    return _ridge(_pairs(), train, asked, actions, _CLOSE_PENALTY)


def field_trees(train: Sequence[Row], asked: Sequence[Row], actions: Sequence[str]) -> Probabilities:
    """Answer by randomised trees on the fields."""
    vectorizer = DictVectorizer()
    features = vectorizer.fit_transform([row.fields for row in train])
    useful = features.getnnz(axis=0) >= 2
    if not useful.any() or len({row.action for row in train}) < 2:
        return commonest_action(train, asked, actions)
    model = ExtraTreesClassifier(_TREES, min_samples_leaf=2, max_features=0.3, random_state=0)
    model.fit(features[:, useful], [row.action for row in train])
    given = vectorizer.transform([row.fields for row in asked])[:, useful]
    return _spread(model.predict_proba(given), model.classes_, actions)


TABLE = "a table of fields"
MODELS: Mapping[str, Model] = {
    "the commonest action": commonest_action,
    TABLE: field_table,
    "trees on the fields": field_trees,
    "regression on words": words_regression,
    "regression on words and pairs": pairs_regression,
    "regression on words and pairs, fitted closer": close_pairs_regression,
}
"""By the name that a report shows."""


def _pairs() -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", min_df=2, max_df=_COMMON_SHARE)


def _ridge(
    vectorizer: TfidfVectorizer,
    train: Sequence[Row],
    asked: Sequence[Row],
    actions: Sequence[str],
    penalty: float = _RIDGE_PENALTY,
) -> Probabilities:
    """Return a softmax of ridge regression on the actions, solved by its dual: hundreds of actions at once."""
    features = _features(vectorizer, train, asked)
    if features is None:
        return commonest_action(train, asked, actions)
    known, given = features
    targets = np.array([[row.action == name for name in actions] for row in train], dtype=float)
    shares = targets.mean(axis=0)
    kernel = (known @ known.T).toarray()
    kernel[np.diag_indices_from(kernel)] += penalty
    scores = (given @ known.T).toarray() @ np.linalg.solve(kernel, targets - shares) + shares
    powers = np.exp(_RIDGE_SHARPNESS * (scores - scores.max(axis=1, keepdims=True)))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _features(vectorizer: TfidfVectorizer, train: Sequence[Row], asked: Sequence[Row]) -> tuple[Any, Any] | None:
    """Return sparse features of both; None where no word tells states apart."""
    try:
        known = vectorizer.fit_transform([row.text for row in train])
    except ValueError:
        return None
    return known, vectorizer.transform([row.text for row in asked])


def _spread(found: Probabilities, classes: Sequence[str], actions: Sequence[str]) -> Probabilities:
    """Return probabilities of the classes of a training in the order of all actions; the others have 0."""
    spread = np.zeros((len(found), len(actions)))
    places = {name: place for place, name in enumerate(actions)}
    for column, name in enumerate(classes):
        spread[:, places[name]] = found[:, column]
    return spread


def _few_valued(rows: Sequence[Row]) -> list[str]:
    values: dict[str, set[float | str]] = {}
    for row in rows:
        for name, value in row.fields.items():
            seen = values.setdefault(name, set())
            if len(seen) <= _TABLE_VALUES:
                seen.add(value)
    counts = Counter(name for row in rows for name in row.fields)
    # Of the hundreds of items that lists may hold, the commonest.
    few = [name for name, seen in values.items() if len(seen) <= _TABLE_VALUES and counts[name] >= len(rows) / 50]
    return sorted(few, key=lambda name: -counts[name])[:100]


def _cell(row: Row, chosen: Sequence[str]) -> tuple[float | str | None, ...]:
    return tuple(row.fields.get(name) for name in chosen)


def _cells(rows: Sequence[Row], chosen: Sequence[str]) -> dict[tuple[float | str | None, ...], Counter[str]]:
    cells: dict[tuple[float | str | None, ...], Counter[str]] = {}
    for row in rows:
        cells.setdefault(_cell(row, chosen), Counter())[row.action] += 1
    return cells


def _worth(rows: Sequence[Row], chosen: Sequence[str], actions: int) -> float:
    """Return the log-likelihood of the actions in the table's cells, less its cost (Schwarz 1978)."""
    cells = _cells(rows, chosen)
    likelihood = sum(n * math.log(n / cell.total()) for cell in cells.values() for n in cell.values())
    return likelihood - 0.5 * len(cells) * (actions - 1) * math.log(len(rows))
