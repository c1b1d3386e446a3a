from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aegis.errors import CheckpointError
from aegis.promotion.monitoring.drift import DRIFT_FILE, DriftDetector, fit_drift, read_drift, write_drift


def draw(count, seed, width=12, shift=0.0):
    rng = np.random.default_rng(seed)
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(width, width)))[0]
    mixing = turned * np.linspace(1.0, 2.0, width)
    return ((rng.normal(size=(count, width)) @ mixing) + shift).astype(np.float32)


def test_states_like_the_training_states_stay_below_the_bound_and_other_states_exceed_it():
    detector = fit_drift(draw(800, 1), draw(400, 2))
    bound = detector.threshold(0.99)
    assert (detector.measure(draw(1000, 3)) > bound).mean() < 0.03
    assert (detector.measure(draw(200, 4, shift=30.0)) > bound).mean() > 0.9


def test_the_distance_is_mahalanobis_and_independent_of_scale():
    train = draw(5000, 1)
    away = draw(50, 2)
    inverse = np.linalg.inv(np.cov(train.T))
    wanted = np.sqrt(np.einsum("nd,de,ne->n", away - train.mean(0), inverse, away - train.mean(0)))
    assert fit_drift(train, away).measure(away) == pytest.approx(wanted, rel=0.05)
    scaled = fit_drift(train * 100, away * 100)
    assert scaled.measure(away * 100) == pytest.approx(fit_drift(train, away).measure(away), rel=0.01)


def test_fewer_states_than_dimensions_are_enough():
    detector = fit_drift(draw(40, 1, width=64), draw(20, 2, width=64))
    assert np.isfinite(detector.measure(draw(5, 3, width=64))).all()


def test_a_drift_detector_is_written_and_read_back(tmp_path):
    detector = fit_drift(draw(100, 1), draw(50, 2))
    write_drift(tmp_path, detector)
    assert read_drift(tmp_path).states_cut is None
    write_drift(tmp_path, replace(detector, states_cut=0.25))
    assert read_drift(tmp_path).states_cut == 0.25
    assert [path.name for path in tmp_path.iterdir()] == [DRIFT_FILE]
    again = read_drift(tmp_path)
    assert again is not None
    assert again.threshold(0.9) == detector.threshold(0.9)
    assert (again.measure(draw(5, 3)) == detector.measure(draw(5, 3))).all()


def test_a_version_may_lack_a_drift_detector_but_a_torn_detector_is_an_error(tmp_path):
    assert read_drift(tmp_path) is None
    (tmp_path / DRIFT_FILE).write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="train again"):
        read_drift(tmp_path)


def test_the_threshold_promises_no_fewer_false_alarms_than_the_held_out_states_allow():
    distances = np.arange(1, 221, dtype=np.float32)
    detector = DriftDetector(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), distances)
    assert detector.threshold(0.9) == 199  # of 221 places, the 199th leaves 22: one in ten
    assert detector.threshold(0.999) == 220  # the largest: one in 221, because 220 states can promise no less
