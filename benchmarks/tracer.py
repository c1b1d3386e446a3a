"""TRACER on the traces and splits of `benchmarks.coverage`: `python -m benchmarks.tracer FILE... [--splits 10]`.

TRACER (tracer-llm 0.3.3, arXiv:2604.14531) learns when a small model may answer in place of a language model, at a
promised agreement. It needs `pip install tracer-llm==0.3.3`. It learns from what the HRM learned from, and from the
half of the held-out episodes that certifies the HRM; the other half tests both. Its embeddings are all-MiniLM-L6-v2's,
its own default, of the state as a text.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegis.experiments.scan import forecast
from aegis.promotion.certifying.certificate import Certificate
from aegis.promotion.judging.baseline import embed_sentences
from aegis.promotion.judging.by_episode import interval_by_episode
from benchmarks.coverage import Numbers, Split, draw_part, show_splits
from benchmarks.forecast import Kept, read_rows

PROMISES = (0.90, 0.95)
_SKIPPED = ("gbt",)
"""Of its models: gradient boosting takes hours among many actions, as its own settings say"""


def route(
    learned: tuple[Numbers, Sequence[str]], asked: Numbers, promise: float
) -> tuple[NDArray[np.bool_], list[str | None]]:
    """Return which of the asked decisions TRACER takes, and its action for them; it may take none."""
    import tracer

    config: Any = tracer.FitConfig(
        target_teacher_agreement=promise, frontier_targets=(promise,), verbose=False, skip_candidates=_SKIPPED
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


def measure(name: str, rows: Sequence[Kept], splits: int) -> list[Split]:
    """Return TRACER's splits of one problem."""
    learning, held = forecast.split(rows)
    known, asked = (embed_sentences([row.text for row in part]) for part in (learning, held))
    labels, episodes = (np.array([str(getattr(row, field)) for row in held]) for field in ("action", "episode"))
    numbered = np.unique(episodes, return_inverse=True)[1]
    found = []
    for seed in range(splits):
        certifying = draw_part(numbered, seed)
        learned = (
            np.concatenate([known, asked[certifying]]),
            [*(row.action for row in learning), *labels[certifying].tolist()],
        )
        for promise in PROMISES:
            handled, answers = route(learned, asked[~certifying], promise)
            right = np.array([str(one) for one in answers])[handled] == labels[~certifying][handled]
            decided, where = int(handled.sum()), numbered[~certifying][handled]
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
        found += measure(path.name.split(".")[0], read_rows(path), options.splits)
    show_splits(found, PROMISES)


if __name__ == "__main__":
    main()
