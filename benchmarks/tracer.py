"""TRACER on the traces and splits of `benchmarks.coverage`: `python -m benchmarks.tracer FILE... [--splits 10]`.

TRACER (tracer-llm 0.3.3, arXiv:2604.14531) learns when a small model may answer in place of a language model, at a
promised agreement. It needs `pip install tracer-llm==0.3.3`. It learns from what the HRM learned from, and from the
half of the held-out episodes that certifies the HRM; the other half tests both. Its embeddings are all-MiniLM-L6-v2's,
its own default, of the state as a text.

A FILE is a log, split as by `benchmarks.forecast`, or an archive NAME.npz with the arrays `learned_texts` and
`learned_labels` (L,), and `texts`, `labels` and `episodes` (n,) of the held-out decisions.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegis.experiments.scan import forecast
from aegis.promotion.certifying.certificate import Certificate
from aegis.promotion.judging.baseline import embed_sentences
from aegis.promotion.judging.by_episode import interval_by_episode
from benchmarks.coverage import Numbers, Split, draw_part, show_splits
from benchmarks.decisions.rivals.tracer import SKIPPED
from benchmarks.forecast import read_rows

PROMISES = (0.90, 0.95)


def route(
    learned: tuple[Numbers, Sequence[str]], asked: Numbers, promise: float
) -> tuple[NDArray[np.bool_], list[str | None]]:
    """Return which of the asked decisions TRACER takes, and its action for them; it may take none."""
    import tracer

    config: Any = tracer.FitConfig(
        target_teacher_agreement=promise, frontier_targets=(promise,), verbose=False, skip_candidates=SKIPPED
    )
    with tempfile.TemporaryDirectory() as folder:
        traces = Path(folder) / "traces.jsonl"
        lines = [json.dumps({"input": str(n), "teacher": label}) for n, label in enumerate(learned[1])]
        traces.write_text("\n".join(lines), encoding="utf-8")
        found = tracer.fit(traces, Path(folder) / "fitted", embeddings=learned[0], config=config)
        if found.manifest.selected_method is None:
            return np.zeros(len(asked), dtype=bool), [None] * len(asked)
        answers = tracer.load_router(Path(folder) / "fitted").predict_batch(asked)
    return np.asarray(answers["handled"], dtype=bool), list(answers["labels"])


@dataclass(frozen=True, slots=True)
class Traces:
    """The decisions of one problem, as TRACER reads them."""

    name: str
    learned: tuple[list[str], list[str]]
    """Texts and actions of what the HRM learned from"""
    texts: list[str]
    """Of the held-out decisions"""
    labels: NDArray[np.str_]
    episodes: NDArray[np.int64]


def read_traces(path: Path) -> Traces:
    """Return the traces of a log or of an archive."""
    if path.suffix == ".npz":
        with np.load(path) as found:
            learned = found["learned_texts"].tolist(), found["learned_labels"].tolist()
            return Traces(path.stem, learned, found["texts"].tolist(), found["labels"], found["episodes"])
    learning, held = forecast.split(read_rows(path))
    learned = [row.text for row in learning], [row.action for row in learning]
    episodes = np.unique([str(row.episode) for row in held], return_inverse=True)[1]
    labels = np.array([row.action for row in held])
    return Traces(path.name.split(".")[0], learned, [row.text for row in held], labels, episodes)


def measure(traces: Traces, splits: int) -> list[Split]:
    """Return TRACER's splits of one problem."""
    name, labels, episodes = traces.name, traces.labels, traces.episodes
    known, asked = (embed_sentences(texts) for texts in (traces.learned[0], traces.texts))
    found = []
    for seed in range(splits):
        certifying = draw_part(episodes, seed)
        learned = np.concatenate([known, asked[certifying]]), [*traces.learned[1], *labels[certifying].tolist()]
        for promise in PROMISES:
            handled, answers = route(learned, asked[~certifying], promise)
            right = np.array([str(one) for one in answers])[handled] == labels[~certifying][handled]
            decided, where = int(handled.sum()), episodes[~certifying][handled]
            bounds = interval_by_episode(right, where, 0.90) if decided else None
            agreement = float(right.mean()) if decided else None
            # Its threshold is its own affair; here it says only whether it took over anything.
            taken = Certificate(promise, 0.0 if decided else None, float(handled.mean()), 0, 0, int(certifying.sum()))
            found.append(Split(name, promise, taken, len(handled), decided, agreement, bounds[1] if bounds else None))
            print(f"{name} {seed} {promise:g}: {handled.mean():.1%} at {agreement or float('nan'):.1%}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--splits", type=int, default=10, help="of each file's held-out episodes in two halves")
    options = parser.parse_args()
    found = []
    for path in options.files:
        found += measure(read_traces(path), options.splits)
    show_splits(found, PROMISES)


if __name__ == "__main__":
    main()
