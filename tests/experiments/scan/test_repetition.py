"""How often states come again, and whether the teacher agrees with itself."""

from __future__ import annotations

import random

import pytest

from aegis.experiments.scan.repetition import measure_repetition
from aegis.experiments.scan.sample import Row
from aegis.types import unheard


def test_equal_states_are_counted_and_no_decision_stands_in_two_pairs():
    states = ["same state again here", "same state again here", "same state again here", "quite another one there"]
    found = measure_repetition([Row(text, {}, "ab"[n == 1], n) for n, text in enumerate(states)], unheard)
    assert found.repeated == pytest.approx(0.5 / 2 * 2)
    assert (found.pairs, found.agreeing) == (1, 0)


def test_near_duplicates_are_found_and_unlike_states_are_not():
    words = [f"word{n}" for n in range(60)]
    texts = [" ".join(words), " ".join([*words[:59], "other"]), " ".join(reversed(words))]
    found = measure_repetition([Row(text, {}, "a", n) for n, text in enumerate(texts)], unheard)
    assert found.near == pytest.approx(2 / 3)
    assert found.repeated == 0


def test_the_ceiling_is_above_what_the_best_policy_reaches_on_a_teacher_that_wavers():
    rng = random.Random(0)
    # The teacher takes `a` in 90% of the cases: the best policy always does, and agrees in 90%.
    rows = [Row(f"state {n // 2}", {}, "a" if rng.random() < 0.9 else "b", n) for n in range(4000)]
    found = measure_repetition(rows, unheard)
    assert found.interval is not None
    assert found.ceiling is not None
    assert found.interval[0] < 0.9**2 + 0.1**2 < found.interval[1]
    assert 0.9 < found.ceiling < 0.94


def test_without_equal_states_there_is_no_ceiling():
    found = measure_repetition([Row(f"state {n}", {}, "a", n) for n in range(5)], unheard)
    assert (found.pairs, found.interval, found.ceiling) == (0, None, None)
