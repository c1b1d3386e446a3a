"""One run of the suite: a rival searches its settings, learns, answers, and is judged."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.decisions.measure import Answers, Judged, calibrate, choose, cover, judge, summarise
from benchmarks.decisions.parts import Example, Parts
from benchmarks.decisions.rivals.rival import Learned, Rival, Setting, soft_targets
from benchmarks.decisions.runs.kept import Cell, Run


def develop(cell: Cell, rival: Rival, parts: Parts) -> Run:
    """Return a rival's run on a development part: each half of the episodes is judged by what the other half chose."""
    learned, seconds, answers = [], [], []
    for setting in rival.settings:
        one, took = learn(rival, parts, cell.seed, setting)
        learned.append(one)
        seconds.append(took)
        answers.append(ask(one, parts.judged, parts.actions))
    best = choose(answers)
    judged = judge(answers)
    costs = weigh(learned[best], seconds[best], parts)
    figures = {"setting": dict(rival.settings[best]), "learned": len(parts.train), "known": parts.known}
    return Run(cell, {**figures, **summarise(judged), **costs}, judged.counted, judged.answers)


def examine(cell: Cell, rival: Rival, developing: Parts, testing: Parts) -> Run:
    """Return a rival's run on a test part: setting and temperature are chosen on the development part."""
    choosing = []
    for setting in rival.settings:
        one, _ = learn(rival, developing, cell.seed, setting)
        choosing.append(ask(one, developing.judged, developing.actions))
    best = choose(choosing)
    one, seconds = learn(rival, testing, cell.seed, rival.settings[best])
    _, counted = calibrate(choosing[best], ask(one, testing.judged, testing.actions))
    judged = Judged(counted, cover(counted))
    figures = {"setting": dict(rival.settings[best]), "learned": len(testing.train), "known": testing.known}
    figures |= {**summarise(judged), **weigh(one, seconds, testing)}
    return Run(cell, figures, judged.counted, judged.answers)


def learn(rival: Rival, parts: Parts, seed: int, setting: Setting) -> tuple[Learned, float]:
    """Return what a rival learned, and the seconds of processor time that it took."""
    started = time.process_time()
    learned = rival.learn(parts.train, parts.actions, seed, **setting)
    return learned, time.process_time() - started if learned.seconds is None else learned.seconds


def ask(learned: Learned, asked: list[Example], actions: tuple[str, ...]) -> Answers:
    """Return the answers to some examples."""
    places = {name: place for place, name in enumerate(actions)}
    return Answers(
        learned.answer(asked),
        soft_targets(asked, actions),
        np.array([places[example.action] for example in asked]),
        np.array([example.episode for example in asked]),
    )


def weigh(learned: Learned, seconds: float, parts: Parts) -> dict[str, float | None]:
    """Return what a rival costs: seconds to learn, milliseconds of a decision from a raw state, megabytes."""
    told = learned.megabytes is not None
    return {
        "train_seconds": seconds if told else None,
        "milliseconds": learned.milliseconds(parts.judged, parts.actions),
        "megabytes": learned.megabytes,
    }


def write_predictions(folder: Path, run: Run) -> None:
    """Write the answers of a run just made for other uses, as PROBLEM-SIZE-SEED.npz.

    It has `probabilities` (n, A), calibrated, and `labels` and `episodes` (n,).
    """
    folder.mkdir(parents=True, exist_ok=True)
    cell, answers = run.cell, run.answers
    assert answers is not None
    np.savez_compressed(
        folder / f"{cell.problem}-{cell.size}-{cell.seed}.npz",
        probabilities=answers.probabilities,
        labels=answers.labels,
        episodes=answers.episodes,
    )
