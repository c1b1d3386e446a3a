"""What `aegis scan` forecasts for a file, beside what a trained HRM then takes: `python -m benchmarks.forecast FILE`.

Both follow the scan's protocol. Whole episodes are set aside for the bounds. On the others the HRM answers out of fold,
in as many trainings as there are folds, and its threshold is the least confidence that reaches 95% agreement there. An
HRM trained on all the others then answers what was set aside, once.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aegis.config import HRMConfig, TrainingConfig
from aegis.door.given import make_actions
from aegis.experiments.scan import forecast
from aegis.experiments.scan.model import Probabilities
from aegis.experiments.scan.sample import Row, make_row
from aegis.formats import read_decisions
from aegis.formats.file import BLOCK
from aegis.formats.kind import hash_text
from aegis.promotion.judging.coverage import threshold_for, weigh_level
from aegis.research import RESEARCH_ACTIONS
from aegis.store import read_examples
from aegis.training import ImitationTrainer
from aegis.types import Action, Decision, unheard

TARGET = 0.95


@dataclass(frozen=True, slots=True)
class Kept(Row):
    """A row that keeps its decision, for the HRM."""

    decision: Decision | None = None


def read_rows(path: Path) -> list[Kept]:
    """Return a file's decisions: those of the program that logged them, or AEGIS's own with their probabilities."""
    reading = read_decisions(path)
    logged = list(reading.decisions)
    if reading.format == "aegis":
        decisions = [example.decision for example in read_examples(path, RESEARCH_ACTIONS).examples]
    else:
        names = sorted({one.action for one in logged})
        decisions = [
            Decision(
                one.episode or f"block {n // BLOCK}",
                n,
                one.state,
                tuple(names),
                Action(one.action),
                None,
                one.teacher,
            )
            for n, one in enumerate(logged)
        ]
    rows = [(make_row(one.state, one.action.name, hash_text(one.episode)), one) for one in decisions]
    return [Kept(row.text, row.fields, row.action, row.episode, decision) for row, decision in rows]


@dataclass(frozen=True, slots=True)
class TrainedHRM:
    """A full-size HRM as one of the scan's models."""

    training: TrainingConfig
    model: HRMConfig

    def __call__(self, train: Sequence[Row], asked: Sequence[Row], actions: Sequence[str]) -> Probabilities:
        learned, states = (
            [row.decision for row in rows if isinstance(row, Kept) and row.decision is not None]
            for rows in (train, asked)
        )
        given = RESEARCH_ACTIONS if set(actions) == set(RESEARCH_ACTIONS.names) else make_actions(actions)
        with tempfile.TemporaryDirectory() as folder:
            trainer = ImitationTrainer(given, self.training, self.model)
            run = trainer.train(learned, states[:1], Path(folder))
        choices = run.policy.decide([decision.state for decision in states], given)
        places = [given.index(name) for name in actions]
        return np.array([choice.probabilities for choice in choices])[:, places]


def measure(rows: Sequence[Kept], model: TrainedHRM) -> dict[str, Any]:
    """Return the forecast, and what the HRM takes at the same promised agreement."""
    foreseen = forecast.make_forecast(rows, unheard)
    level = next(one for one in foreseen.levels if one.target == TARGET)
    larger, smaller = forecast.split(rows)
    actions = sorted({row.action for row in rows})
    chosen, bound = (np.array([actions.index(row.action) for row in part]) for part in (larger, smaller))
    threshold = threshold_for(forecast.out_of_fold(model, larger, actions), chosen, TARGET)
    answers = model(larger, smaller, actions)
    taken = weigh_level(
        TARGET, threshold, answers, bound, [row.episode for row in smaller], counted_share=forecast.BOUND_SHARE
    )
    return {
        "decisions": len(rows),
        "learned from": len(larger),
        "best simple model": foreseen.best,
        "its agreement": max(one.agreement for one in foreseen.models if one.name == foreseen.best),
        "forecast": asdict(level),
        "HRM's agreement": float((answers.argmax(axis=1) == bound).mean()),
        "HRM": asdict(taken),
        "points apart": 100 * (taken.share - level.share),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--max-tokens", type=int, default=TrainingConfig().max_tokens)
    parser.add_argument("--epochs", type=int, default=TrainingConfig().epochs)
    options = parser.parse_args()
    training = replace(TrainingConfig(), max_tokens=options.max_tokens, epochs=options.epochs)
    for path in options.files:
        started = time.perf_counter()
        found = measure(read_rows(path), TrainedHRM(training, HRMConfig()))
        print(json.dumps({"file": path.name, **found, "seconds": round(time.perf_counter() - started)}, indent=2))


if __name__ == "__main__":
    main()
