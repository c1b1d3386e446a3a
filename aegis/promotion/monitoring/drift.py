"""The distance of a state from an HRM's training states, in the HRM's own representation.

It is the Mahalanobis distance from the mean of the training states (Lee et al. 2018, arXiv:1807.03888). The covariance
is Ledoit and Wolf's (2004), because there are hardly more states than dimensions. A state is out of distribution if its
distance exceeds a quantile of the held-out states' distances, which are kept beside the weights. The quantile is split
conformal prediction's (Vovk et al. 2005): of n held-out states and a new one like them, each is as likely the farthest.

Of a state that is too long, an HRM reads a part, which may look like any other. So a state that is cut is out of
distribution, too, where nearly none of the training states was (`MOST_CUT`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from aegis.atomic import replacing, share
from aegis.errors import CheckpointError

DRIFT_FILE = "drift.safetensors"
MOST_STATES = 2000
"""At most so many training and held-out states are used, drawn evenly"""
MOST_CUT = 0.02
"""Where no larger share of the training's states was cut, a state that is cut is out of distribution. The monitor warns
of more than 5% such states, so that as many as in training do not lead to its warning"""
_NAMES = {"mean", "whitening", "distances"}
_CUT = "states_cut"


@dataclass(frozen=True, slots=True)
class DriftDetector:
    """The distribution of the training states in their HRM's representation, of width D."""

    mean: NDArray[np.float32]
    """(D,): mean of the training states' representations"""
    whitening: NDArray[np.float32]
    """(D, D): maps a difference from the mean to unit covariance"""
    distances: NDArray[np.float32]
    """(n,): distances of the held-out states, ascending"""
    states_cut: float | None = None
    """Share of the training's states that were cut; None: not known"""

    @property
    def knows_no_cut_states(self) -> bool:
        """Whether a state that is cut is out of distribution, because nearly none was cut in training."""
        return self.states_cut is not None and self.states_cut <= MOST_CUT

    def measure(self, represented: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the distance (B,) of each representation (B, D) from the training states."""
        away = (np.asarray(represented, dtype=np.float32) - self.mean) @ self.whitening
        return np.asarray(np.sqrt(np.einsum("bd,bd->b", away, away)))

    def threshold(self, quantile: float) -> float:
        """Return the distance above which a state is out of distribution: this quantile of the held-out distances.

        A state like the n held-out ones exceeds it with probability 1 - quantile at most, but the largest distance with
        1 / (n + 1): fewer than 1 / (1 - quantile) - 1 held-out states can promise no less.
        """
        rank = math.ceil((len(self.distances) + 1) * quantile)
        return float(self.distances[min(rank, len(self.distances)) - 1])


def fit_drift(train: NDArray[np.float32], heldout: NDArray[np.float32]) -> DriftDetector:
    """Return the detector fitted on the representations of training and held-out states, (n, D) each."""
    from sklearn.covariance import LedoitWolf

    model = LedoitWolf().fit(train.astype(np.float64))
    whitening = np.linalg.cholesky(model.precision_ + 1e-12 * np.eye(train.shape[1]))
    detector = DriftDetector(model.location_.astype(np.float32), whitening.astype(np.float32), np.empty(0, np.float32))
    return DriftDetector(detector.mean, detector.whitening, np.sort(detector.measure(heldout)))


def write_drift(folder: Path, detector: DriftDetector) -> None:
    """Write a detector into its HRM's folder atomically; raises `CheckpointError` if the disk refuses."""
    try:
        with replacing(folder / DRIFT_FILE) as partial:
            arrays = {name: np.ascontiguousarray(getattr(detector, name)) for name in _NAMES}
            if detector.states_cut is not None:
                arrays[_CUT] = np.array([detector.states_cut], dtype=np.float64)
            save_file(arrays, partial)
            share(partial)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder / DRIFT_FILE}: can't be written ({error}): check the disk's space") from error


def read_drift(folder: Path) -> DriftDetector | None:
    """Read an HRM's detector; None if the HRM was kept without one. Raises `CheckpointError` for a malformed file."""
    path = folder / DRIFT_FILE
    if not path.exists():
        return None
    try:
        found = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: torn ({error}): train again") from error
    cut = found.pop(_CUT, None)  # an earlier version of AEGIS did not keep it
    shapes = {name: array.shape for name, array in found.items()}
    width = shapes.get("mean", (0,))[0]
    odd = cut is not None and cut.shape != (1,)
    if odd or shapes.keys() != _NAMES or shapes["whitening"] != (width, width) or not found["distances"].size:
        raise CheckpointError(f"{path}: out of form: train again")
    return DriftDetector(**{name: found[name] for name in _NAMES}, states_cut=None if cut is None else float(cut[0]))
