"""What `aegis scan` forecasts for a file, beside what a trained HRM then takes: `python -m benchmarks.forecast FILE`.

The scan sets whole episodes aside. Its best simple model answers them, and these answers certify a share at 95%
agreement: the forecast. An HRM is trained once on the other episodes, answers the same decisions, and is certified in
the same way. Beside it stands the share in hindsight: the largest share of the surest answers of which 95% agree. What
a promise brings is measured, too: certified by half of the episodes set aside, counted on the other half, on average
over many halves.

Intervals are percentiles over 1,000 draws of episodes. `--splits` repeats it all with other episodes set aside, one
training each, and gives each file's averages over its splits; an episode that is in several is drawn in all of them.
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
from numpy.typing import NDArray

from aegis.config import HRMConfig, TrainingConfig
from aegis.door.given import make_actions
from aegis.experiments.scan import forecast
from aegis.experiments.scan.forecast import Answered
from aegis.experiments.scan.model import MODELS, Model, Probabilities
from aegis.experiments.scan.sample import Row, make_row
from aegis.formats import read_decisions
from aegis.formats.file import BLOCK
from aegis.formats.kind import hash_text
from aegis.promotion.certifying.certificate import certify
from aegis.promotion.judging.coverage import share_in_hindsight
from aegis.promotion.judging.interval import Interval
from aegis.research import RESEARCH_ACTIONS
from aegis.store import read_examples
from aegis.training import ImitationTrainer
from aegis.training.checkpoint import find_checkpoints
from aegis.types import Action, Decision, unheard

TARGET = 0.95
DRAWS = 1000
"""Of the episodes, for an interval."""
HALVES = 200
"""Ways to part the episodes, for a promise."""


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
    return [Kept(row.text, row.fields, row.action, row.episode, row.tokens, decision) for row, decision in rows]


@dataclass(frozen=True, slots=True)
class TrainedHRM:
    """A full-size HRM as one of the scan's models. Its answers to one question are kept: a training takes minutes."""

    training: TrainingConfig
    model: HRMConfig
    folder: Path
    """Of the checkpoints, from which a killed training resumes, and of the answers"""

    def __call__(self, train: Sequence[Row], asked: Sequence[Row], actions: Sequence[str]) -> Probabilities:
        kept = self.folder / "answers.npy"
        if kept.is_file():
            return np.asarray(np.load(kept))
        learned, states = (
            [row.decision for row in rows if isinstance(row, Kept) and row.decision is not None]
            for rows in (train, asked)
        )
        given = RESEARCH_ACTIONS if set(actions) == set(RESEARCH_ACTIONS.names) else make_actions(actions)
        trainer = ImitationTrainer(given, self.training, self.model)
        resumed = bool(find_checkpoints(self.folder))
        run = trainer.train(learned, states[:1], self.folder, resume=resumed)
        choices = run.policy.decide([decision.state for decision in states], given)
        places = [given.index(name) for name in actions]
        answers = np.array([choice.probabilities for choice in choices])[:, places]
        np.save(kept, answers)
        return answers


@dataclass(frozen=True, slots=True)
class Reached:
    """What a model's answers bring on decisions that it has not seen."""

    agreement: float
    """Of all answers"""
    share: float
    """Certified at 95% agreement"""
    interval: Interval
    """95% interval of this share, by episode"""
    hindsight: float
    """The largest share of the surest answers with 95% agreement"""
    promised_share: float
    """The share above a threshold that other episodes certified at 95%"""
    promised_agreement: float | None
    """The agreement there; None where nothing is above it"""


def weigh(answers: Answered, seed: int = 0) -> Reached:
    """Return what the answers bring at 95% agreement, and by a threshold that other episodes certified."""
    rng = np.random.default_rng(seed)
    drawn = [answers.draw(rng).certified_share(TARGET) for _ in range(DRAWS)]
    taken, right, counted = 0, 0, 0
    for _ in range(HALVES):
        certifying = (rng.permutation(answers.episodes.max() + 1) % 2 == 0)[answers.episodes]
        confidences, episodes = answers.confidences[certifying], answers.episodes[certifying]
        threshold = certify(confidences, answers.right[certifying], episodes, TARGET).threshold
        sure = ~certifying & (answers.confidences >= (np.inf if threshold is None else threshold))
        taken, right = taken + int(sure.sum()), right + int(answers.right[sure].sum())
        counted += int((~certifying).sum())
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Reached(
        agreement=float(answers.right.mean()),
        share=answers.certified_share(TARGET),
        interval=(float(low), float(high)),
        hindsight=share_in_hindsight(answers.confidences, answers.right, TARGET),
        promised_share=taken / counted,
        promised_agreement=right / taken if taken else None,
    )


@dataclass(frozen=True, slots=True)
class Split:
    """What the best simple model and the HRM answered to the decisions that one split set aside."""

    simple: Answered
    hrm: Answered
    names: NDArray[np.str_]
    """The file's name of each decision's episode (n,), the same in every split"""

    def shares(self, times: NDArray[np.int64]) -> tuple[float, float]:
        """Return the certified shares of both where each decision's episode comes so many times, (n,)."""
        if not times.any():
            return 0.0, 0.0
        rows = np.concatenate([np.flatnonzero(times > again) for again in range(times.max())])
        copies = np.concatenate([np.full((times > again).sum(), again) for again in range(times.max())])
        found = []
        for one in (self.simple, self.hrm):
            episodes = one.episodes[rows] + copies * (one.episodes.max() + 1)
            found.append(Answered(one.confidences[rows], one.right[rows], episodes).certified_share(TARGET))
        return found[0], found[1]


def average(splits: Sequence[Split], seed: int = 0) -> dict[str, Any]:
    """Return the mean forecast, the HRM's mean share and the points between them, each with its 95% interval."""
    names = np.unique(np.concatenate([one.names for one in splits]))
    places = [np.searchsorted(names, one.names) for one in splits]
    rng, drawn = np.random.default_rng(seed), []

    def means(times: NDArray[np.int64]) -> NDArray[np.float64]:
        shares = [one.shares(times[where]) for one, where in zip(splits, places, strict=True)]
        forecasts, reached = np.mean(shares, axis=0)
        return 100 * np.array([forecasts, reached, reached - forecasts])

    for _ in range(DRAWS):
        drawn.append(means(np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))))
    intervals = np.quantile(drawn, (0.025, 0.975), axis=0).T
    what = ("forecast, %", "share of the HRM, %", "points apart")
    found = zip(what, means(np.ones(len(names), dtype=np.int64)), intervals, strict=True)
    return {name: {"mean": float(mean), "interval": interval.tolist()} for name, mean, interval in found}


def measure(rows: Sequence[Kept], model: Model) -> tuple[dict[str, Any], Split]:
    """Return the forecast beside what the HRM reaches on the same decisions, and the answers of both."""
    foreseen = forecast.make_forecast(rows, unheard)
    level = next(one for one in foreseen.levels if one.target == TARGET)
    larger, smaller = forecast.split(rows)
    actions = sorted({row.action for row in rows})
    places = {name: place for place, name in enumerate(actions)}
    labels = np.array([places[row.action] for row in smaller])
    episodes = [row.episode for row in smaller]
    simple, hrm = (
        Answered.of(one(larger, smaller, actions), labels, episodes) for one in (MODELS[foreseen.best], model)
    )
    names = np.array([row.decision.episode for row in smaller if isinstance(row, Kept) and row.decision is not None])
    split = Split(simple, hrm, names)
    found = {
        "decisions": len(rows),
        "learned from": len(larger),
        "best simple model": foreseen.best,
        "forecast": asdict(level),
        "range": foreseen.share_range,
        "simple model": asdict(weigh(simple)),
        "HRM": asdict(weigh(hrm)),
        **average([split]),
    }
    return found, split


def split_again(rows: Sequence[Kept], split: int) -> list[Kept]:
    """Return the rows with other numbers for their episodes, so that others are set aside; 0: those of `aegis scan`."""
    return [replace(row, episode=hash_text(f"{split}{row.episode}")) if split else row for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--max-tokens", type=int, default=TrainingConfig().max_tokens)
    parser.add_argument("--epochs", type=int, default=TrainingConfig().epochs)
    parser.add_argument("--splits", type=int, default=1, help="how often to set episodes aside, one training each")
    parser.add_argument("--keep", type=Path, help="a folder in which a killed measurement goes on")
    options = parser.parse_args()
    training = replace(TrainingConfig(), max_tokens=options.max_tokens, epochs=options.epochs)
    with tempfile.TemporaryDirectory() as folder:
        for path in options.files:
            splits = []
            for number in range(options.splits):
                started = time.perf_counter()
                answered = f"{path.name}-{number}-{options.max_tokens}-{options.epochs}"
                model = TrainedHRM(training, HRMConfig(), (options.keep or Path(folder)) / answered)
                found, split = measure(split_again(read_rows(path), number), model)
                splits.append(split)
                told = {"file": path.name, "split": number, **found, "seconds": round(time.perf_counter() - started)}
                print(json.dumps(told, indent=2), flush=True)
            print(json.dumps({"file": path.name, "splits": len(splits), **average(splits)}, indent=2), flush=True)


if __name__ == "__main__":
    main()
