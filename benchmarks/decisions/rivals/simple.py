"""Rivals that learn in seconds: counts, a table, regressions, trees."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import hstack
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import MaxAbsScaler

from aegis.experiments.scan import model as scan
from benchmarks.decisions.parts import Example
from benchmarks.decisions.rivals.rival import Floats, Learned, megabytes_of, soft_targets, spread

ITERATIONS = 100
_SHARPNESS = 30.0
_TREES = 200
_MANY_ACTIONS = 10
"""Boosting grows a tree for each action and round: among more actions than this, fewer rounds."""


def learn_scanned(model: scan.Model, train: Sequence[Example], actions: Sequence[str], seed: int) -> Learned:
    """Return a model of `aegis scan`, which learns again with each question; only its answers are of use."""
    return Learned(lambda asked: model(train, asked, actions), megabytes=None)


def learn_words_and_fields(
    train: Sequence[Example], actions: Sequence[str], seed: int, penalty: float, counted: str = "once"
) -> Learned:
    """Fit logistic regression on fields and words with soft targets.

    counted: a word counts `once`, or as `tf-idf` has it.
    """
    words = CountVectorizer(binary=True) if counted == "once" else TfidfVectorizer(sublinear_tf=True)
    fields, scaler = DictVectorizer(), MaxAbsScaler()

    def read(rows: Sequence[Example], fit: bool = False) -> Any:
        texts, values = [row.text for row in rows], [dict(row.fields) for row in rows]
        if fit:
            words.fit(texts)
            scaler.fit(fields.fit_transform(values))
        return hstack([words.transform(texts), scaler.transform(fields.transform(values))]).tocsr()

    return _fit_logistic(read, train, actions, penalty, (words, fields, scaler))


def learn_pairs(
    train: Sequence[Example], actions: Sequence[str], seed: int, penalty: float, form: str = "logistic"
) -> Learned:
    """Fit regression on words and pairs of words with soft targets; form: `logistic` or `ridge`."""
    pairs = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", min_df=2)

    def read(rows: Sequence[Example], fit: bool = False) -> Any:
        texts = [row.text for row in rows]
        return pairs.fit_transform(texts) if fit else pairs.transform(texts)

    if form == "logistic":
        return _fit_logistic(read, train, actions, penalty, (pairs,))
    model = Ridge(1 / penalty, solver="sparse_cg").fit(read(train, fit=True), soft_targets(train, actions))

    def answer(rows: Sequence[Example]) -> Floats:
        scores = _SHARPNESS * np.asarray(model.predict(read(rows)))
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    return Learned(answer, megabytes_of(pairs, model))


def learn_boosting(
    train: Sequence[Example], actions: Sequence[str], seed: int, learning_rate: float, leaves: int
) -> Learned:
    """Fit gradient boosted trees on the fields."""
    rounds = 100 if len(actions) <= _MANY_ACTIONS else 30
    model = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_leaf_nodes=leaves,
        max_iter=rounds,
        early_stopping=False,
        random_state=seed,
    )
    return _fit_trees(model, train, actions, least=model.min_samples_leaf)


def learn_forest(
    train: Sequence[Example], actions: Sequence[str], seed: int, leaf: int, features: float | str, extra: bool = True
) -> Learned:
    """Fit a forest on the fields; extra: with thresholds drawn at random."""
    kind = ExtraTreesClassifier if extra else RandomForestClassifier
    model = kind(_TREES, min_samples_leaf=leaf, max_features=features, random_state=seed)
    return _fit_trees(model, train, actions, least=2)


def fit_logistic(features: Any, places: Any, weights: Any, penalty: float) -> LogisticRegression:
    """Fit logistic regression to weighted examples; after `ITERATIONS` it is near enough."""
    model = LogisticRegression(C=penalty, max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, places, sample_weight=weights)
    return model


def _fit_trees(model: Any, train: Sequence[Example], actions: Sequence[str], least: int) -> Learned:
    """Fit trees on the fields that at least this many examples have."""
    places = {name: place for place, name in enumerate(actions)}
    vectorizer = DictVectorizer()
    features = vectorizer.fit_transform([dict(row.fields) for row in train])
    useful = np.flatnonzero(features.getnnz(axis=0) >= least)
    if not len(useful):  # as of sentences, each another one
        return learn_scanned(scan.commonest_action, train, actions, 0)
    model.fit(features[:, useful].toarray(), [places[row.action] for row in train])

    def answer(rows: Sequence[Example]) -> Floats:
        given = vectorizer.transform([dict(row.fields) for row in rows])[:, useful].toarray()
        return spread(model.predict_proba(given), model.classes_, actions)

    return Learned(answer, megabytes_of(vectorizer, model))


def _fit_logistic(
    read: Callable[..., Any], train: Sequence[Example], actions: Sequence[str], penalty: float, parts: Sequence[object]
) -> Learned:
    """Fit logistic regression; each example counts once for each action, by the teacher's probability."""
    targets = soft_targets(train, actions)
    rows, places = np.nonzero(targets > 0)
    model = fit_logistic(read(train, fit=True)[rows], places, targets[rows, places], penalty)

    def answer(asked: Sequence[Example]) -> Floats:
        return spread(model.predict_proba(read(asked)), model.classes_, actions)

    return Learned(answer, megabytes_of(*parts, model))
