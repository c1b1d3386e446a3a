"""Whether a state is unlike those that an HRM was trained on, by the HRM's own representation. It decides nothing.

The distance is Mahalanobis', from the mean of the training states' representations (Lee et al. 2018, arXiv:1807.03888),
with Ledoit and Wolf's covariance (2004), for there are hardly more states than dimensions. What counts as unlike is a
quantile of the held-out states' distances, kept beside the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from aegis.errors import CheckpointError
from aegis.types import new_id

DRIFT_FILE = "drift.safetensors"
DRIFT_QUANTILE = 0.999
MOST_STATES = 2000
"""Of more training or held-out states, so many are looked at, evenly drawn"""
_NAMES = {"mean", "whitening", "distances"}


@dataclass(frozen=True, slots=True)
class DriftDetector:
    """What the states of a training look like to its HRM."""

    mean: NDArray[np.float32]
    """(D,), of the training states' representations"""
    whitening: NDArray[np.float32]
    """(D, D): takes a difference from the mean to unit covariance"""
    distances: NDArray[np.float32]
    """(n,), of the held-out states, rising"""

    def measure(self, represented: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the distance of each representation (B, D) from the training states, (B,)."""
        away = (np.asarray(represented, dtype=np.float32) - self.mean) @ self.whitening
        return np.asarray(np.sqrt(np.einsum("bd,bd->b", away, away)))

    def threshold(self, quantile: float) -> float:
        """Return the distance above which states count as unlike: this quantile of the held-out ones'."""
        return float(np.quantile(self.distances, quantile))


def fit_drift(train: NDArray[np.float32], heldout: NDArray[np.float32]) -> DriftDetector:
    """Return the detector of representations (n, D) of training and of held-out states."""
    from sklearn.covariance import LedoitWolf

    model = LedoitWolf().fit(train.astype(np.float64))
    whitening = np.linalg.cholesky(model.precision_ + 1e-12 * np.eye(train.shape[1]))
    detector = DriftDetector(model.location_.astype(np.float32), whitening.astype(np.float32), np.empty(0, np.float32))
    return DriftDetector(detector.mean, detector.whitening, np.sort(detector.measure(heldout)))


def write_drift(folder: Path, detector: DriftDetector) -> None:
    """Write a detector into its HRM's folder, as a whole or not at all; raises `CheckpointError` when it can't."""
    partial = folder / f".{DRIFT_FILE}-{new_id()}"
    try:
        save_file({name: np.ascontiguousarray(getattr(detector, name)) for name in _NAMES}, partial)
        partial.replace(folder / DRIFT_FILE)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(f"{folder / DRIFT_FILE}: can't be written ({error}): check the disk's space") from error


def read_drift(folder: Path) -> DriftDetector | None:
    """Read an HRM's detector; None where it was kept without one, `CheckpointError` where it is out of form."""
    path = folder / DRIFT_FILE
    if not path.exists():
        return None
    try:
        found = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: torn ({error}): train again") from error
    shapes = {name: array.shape for name, array in found.items()}
    width = shapes.get("mean", (0,))[0]
    if shapes.keys() != _NAMES or shapes["whitening"] != (width, width) or not found["distances"].size:
        raise CheckpointError(f"{path}: out of form: train again")
    return DriftDetector(**{name: found[name] for name in _NAMES})
