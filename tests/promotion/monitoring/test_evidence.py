"""The evidence of a fall, however long it grows."""

from __future__ import annotations

import numpy as np

from aegis.promotion.monitoring.evidence import FallDetector, Suspicion


def test_no_number_overflows_however_long_everything_is_wrong():
    detector, suspicion = FallDetector(0.9), Suspicion(0.9)
    with np.errstate(all="raise"):
        for _ in range(5000):
            detector.look(np.array([0.0]))
            suspicion.look(np.array([0.0]))
    assert detector.evidence[0] > 1e50
    assert suspicion.level[0] > 1e50
