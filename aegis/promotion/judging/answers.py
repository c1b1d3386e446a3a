"""A policy's answers to its held-out decisions, kept beside its weights with the temperature fitted on them.

The calibration and the deferral curve are computed from these answers, without the model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aegis.atomic import replacing
from aegis.bounds import read_json
from aegis.errors import CheckpointError
from aegis.promotion.judging.calibration import (
    CalibrationEstimate,
    calibration_error,
    cross_fitted,
    estimate_calibration,
    fit_temperature,
)

ANSWERS_FILE = "heldout.json"
MOST_KEPT = 10_000
"""Answers that are kept (about 1 MB), evenly drawn from more: what is read from them is known to a point by then"""
_LEAST_KEPT, _KEPT_NUMBERS = 1000, 1_000_000
"""Among many actions fewer are kept, for each has a number for every action; but never fewer than the first"""
_DIGITS = 6
"""Significant ones: an action on offer is never 0"""


@dataclass(frozen=True, slots=True)
class HeldoutAnswers:
    """A policy's answers to the held-out decisions that judged it."""

    actions: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]
    """(n, A), as the policy gave them; 0 for an action that was not on offer"""
    labels: tuple[int, ...]
    """The teacher's choices, as places in `actions`"""
    episodes: tuple[str, ...]
    temperature: float
    """Fitted on all answers; calibrates the policy's probabilities from now on"""
    milliseconds: float | None = None
    """Median time of one decision; None: not measured"""
    judged: int | None = None
    """Number of decisions that judged the policy, of which these answers are kept; None: all are kept"""

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities (n, A) and the labels (n,)."""
        return np.asarray(self.probabilities), np.asarray(self.labels)

    def calibrated(self) -> np.ndarray:
        """Return calibrated probabilities (n, A); each row's temperature is fitted on other episodes than its own."""
        return cross_fitted(*self.arrays(), self.episodes)

    def errors(self) -> tuple[float, float]:
        """Return the calibration errors without and with a temperature; the latter is cross-fitted by episode."""
        return calibration_error(*self.arrays()), calibration_error(self.calibrated(), self.arrays()[1])

    def estimate(self) -> CalibrationEstimate:
        """Return the cross-fitted calibration error, with its interval and the error that chance alone would give."""
        return estimate_calibration(self.calibrated(), self.arrays()[1], self.episodes)


def keep_answers(
    probabilities: Sequence[Sequence[float]] | np.ndarray,
    labels: Sequence[int],
    episodes: Sequence[str],
    actions: Sequence[str],
    milliseconds: float | None = None,
) -> HeldoutAnswers:
    """Return a policy's answers with the temperature fitted on all of them; at most `MOST_KEPT` are kept.

    labels: the teacher's choices, as places in `actions`; episodes: the episode of each decision.
    """
    count = len(labels)
    most = min(MOST_KEPT, max(_LEAST_KEPT, _KEPT_NUMBERS // len(actions)))
    rows = range(count) if count <= most else [place * count // most for place in range(most)]
    return HeldoutAnswers(
        actions=tuple(actions),
        probabilities=tuple(tuple(float(f"{p:.{_DIGITS}g}") for p in probabilities[row]) for row in rows),
        labels=tuple(labels[row] for row in rows),
        episodes=tuple(episodes[row] for row in rows),
        judged=count,
        temperature=fit_temperature(np.asarray(probabilities), np.asarray(labels)),
        milliseconds=milliseconds,
    )


def write_answers(folder: Path, answers: HeldoutAnswers) -> None:
    """Write answers into a policy's folder atomically; raises `CheckpointError` if the disk refuses."""
    try:
        with replacing(folder / ANSWERS_FILE) as partial:
            partial.write_text(json.dumps(asdict(answers)), encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{folder / ANSWERS_FILE}: can't be written ({error}): check the disk's space") from error


def read_answers(folder: Path) -> HeldoutAnswers:
    """Read a policy's held-out answers; raises `CheckpointError` if they are missing or malformed."""
    path = folder / ANSWERS_FILE
    try:
        fields: dict[str, Any] = read_json(path)
        answers = HeldoutAnswers(
            actions=tuple(fields["actions"]),
            probabilities=tuple(tuple(float(p) for p in row) for row in fields["probabilities"]),
            labels=tuple(int(label) for label in fields["labels"]),
            episodes=tuple(str(name) for name in fields["episodes"]),
            temperature=float(fields["temperature"]),
            milliseconds=None if fields.get("milliseconds") is None else float(fields["milliseconds"]),
            judged=None if fields.get("judged") is None else int(fields["judged"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: missing or out of form ({error}): train again to write the answers") from error
    shapes = {len(answers.probabilities), len(answers.labels), len(answers.episodes)}
    widths = {len(row) for row in answers.probabilities}
    if len(shapes) != 1 or widths != {len(answers.actions)} or answers.temperature <= 0:
        raise CheckpointError(f"{path}: its answers, labels, episodes and actions do not match: train again")
    return answers
