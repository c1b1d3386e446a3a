"""TRACER (arXiv:2604.14531): a surrogate on sentence embeddings, and an acceptor that says when to trust it.

Needs `tracer-llm`, whose own requirement of an older NumPy it does not need. It deploys nothing where it can't certify
the agreement asked for; then the commonest action answers.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.decisions.parts import Example
from benchmarks.decisions.rivals.rival import Floats, Learned, megabytes_of, read_state
from benchmarks.decisions.rivals.sentences import embed, encode, encoder_megabytes

SKIPPED = ("gbt",)
"""Of its models: gradient boosting takes hours among many actions, as its own settings say"""


def learn_tracer(train: Sequence[Example], actions: Sequence[str], seed: int, agreement: float) -> Learned:
    """Fit TRACER for an agreement; raises `ImportError` without its package or the embeddings'."""
    vectors, seconds = embed(train)
    started = time.process_time()
    names, stages = fit(train, vectors, seed, agreement)
    seconds += time.process_time() - started
    columns = [list(actions).index(name) for name in names]
    counts = np.array([sum(example.action == name for example in train) for name in actions])

    def weigh(given: Floats) -> Floats:
        if not stages:
            return np.tile(counts / counts.sum(), (len(given), 1))
        return spread_scores(*ask_stages(stages, given), columns, len(actions))

    def decide(state: Any) -> Floats:
        return weigh(encode([read_state(state, actions).text]))

    return Learned(lambda asked: weigh(embed(asked)[0]), encoder_megabytes() + megabytes_of(stages), decide, seconds)


def fit(train: Sequence[Example], vectors: Floats, seed: int, agreement: float) -> tuple[list[str], list[Any]]:
    """Return the actions and the stages of what TRACER deploys; no stages where it deploys nothing."""
    from tracer.api import fit as fit_traces
    from tracer.config import FitConfig
    from tracer.policy.artifacts import load_pipeline

    config = FitConfig(agreement, frontier_targets=(agreement,), seed=seed, verbose=False, skip_candidates=SKIPPED)
    with tempfile.TemporaryDirectory() as folder:
        traces = Path(folder) / "traces.jsonl"
        lines = (json.dumps({"input": example.text, "teacher": example.action}) for example in train)
        traces.write_text("\n".join(lines) + "\n", encoding="utf-8")
        result = fit_traces(traces, Path(folder) / "fitted", vectors.astype(np.float32), config)
        if result.manifest.selected_method is None:
            return [], []
        bundle = load_pipeline(Path(folder) / "fitted")
    return list(bundle["label_space"]), list(bundle["pipeline"]["stages"])


def ask_stages(stages: Sequence[Any], vectors: Floats) -> tuple[Any, Any]:
    """Return each answer, by place, and its score: of the first stage that accepts it, else of the last one."""
    from tracer.fit.pipeline import apply_stage

    given = vectors.astype(np.float32)
    picked, scores, accepted = apply_stage(stages[0], given)[0], np.zeros(len(given)), np.zeros(len(given), dtype=bool)
    for stage in stages:
        found, accepts, sure = apply_stage(stage, given)
        picked, scores = np.where(accepted, picked, found), np.where(accepted, scores, sure)
        accepted = accepted | accepts
    return picked, scores


def spread_scores(picked: Any, scores: Any, columns: Sequence[int], actions: int) -> Floats:
    """Return probabilities (n, actions) whose greatest one is the action picked and grows with its score."""
    own = 1 / actions + (1 - 1 / actions) * np.clip(scores, 0.01, 0.99)
    answers = np.repeat(((1 - own) / max(1, actions - 1))[:, None], actions, axis=1)
    answers[np.arange(len(own)), np.array(columns)[picked]] = own
    return answers
