from __future__ import annotations

import json

import numpy as np
import pytest

from aegis.errors import CheckpointError
from aegis.promotion import keep_answers, read_answers, write_answers
from aegis.promotion.judging.answers import MOST_KEPT
from aegis.promotion.judging.calibration import (
    calibration_error,
    cross_fitted,
    estimate_calibration,
    fit_temperature,
    with_temperature,
)

NAMES = ("a", "b", "c")


def draw(count: int, temperature: float, seed: int = 0):
    """Return labels, and probabilities that are overconfident (temperature below 1) or underconfident (above 1)."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet([0.5, 0.5, 0.5], count)
    labels = np.array([rng.choice(3, p=row) for row in true])
    return with_temperature(true, temperature), labels


def keep(probabilities, labels, **fields):
    episodes = [f"e{n // 10}" for n in range(len(labels))]
    return keep_answers(probabilities.tolist(), labels.tolist(), episodes, NAMES, **fields)


def test_the_calibration_error_equals_a_hand_calculation():
    #                      0.95: right, wrong              0.65: right
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.35, 0.65]])
    assert calibration_error(probabilities, np.array([0, 1, 1])) == pytest.approx((2 * 0.45 + 0.35) / 3)


def test_certain_right_answers_have_no_calibration_error():
    assert calibration_error(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1])) == 0


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_found_and_removed(temperature):
    probabilities, labels = draw(3000, temperature)
    assert fit_temperature(probabilities, labels) == pytest.approx(1 / temperature, rel=0.1)
    calibrated = cross_fitted(probabilities, labels, [str(n // 10) for n in range(len(labels))])
    assert calibration_error(calibrated, labels) < 0.03
    assert (calibrated.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert calibrated.sum(axis=1) == pytest.approx(1)


def test_no_decision_is_calibrated_by_its_own_episode():
    probabilities, labels = draw(200, 0.5)
    groups = [str(n // 40) for n in range(200)]
    before = cross_fitted(probabilities, labels, groups)
    others = labels.copy()
    others[:40] = (labels[:40] + 1) % 3  # all labels of the first episode changed
    after = cross_fitted(probabilities, others, groups)
    assert (before[:40] == after[:40]).all()
    assert not np.allclose(before[40:], after[40:])


def test_the_probabilities_of_a_single_episode_are_unchanged():
    probabilities, labels = draw(50, 0.5)
    assert (cross_fitted(probabilities, labels, ["only"] * 50) == probabilities).all()


def test_a_temperature_keeps_certain_answers_finite():
    assert with_temperature(np.array([[1.0, 0.0]]), 2.0).sum() == pytest.approx(1)


def test_answers_are_written_and_read_back(tmp_path):
    probabilities, labels = draw(300, 0.4)
    answers = keep(probabilities, labels, milliseconds=2.5)
    write_answers(tmp_path, answers)
    assert read_answers(tmp_path) == answers
    assert [path.name for path in tmp_path.iterdir()] == ["heldout.json"]
    before, after = answers.errors()
    assert after < before / 2


@pytest.mark.parametrize("change", [{"labels": [0]}, {"temperature": 0}, {"actions": ["a"]}, {"probabilities": None}])
def test_malformed_answers_are_an_error(tmp_path, change):
    probabilities, labels = draw(20, 1.0)
    write_answers(tmp_path, keep(probabilities, labels))
    path = tmp_path / "heldout.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=r"heldout\.json: .*train again"):
        read_answers(tmp_path)


def test_missing_answers_are_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="missing or out of form"):
        read_answers(tmp_path)


def test_a_calibrated_policy_has_the_floor_as_its_error_and_less_after_debiasing():
    episodes = [str(n // 20) for n in range(220)]
    drawn = [draw(220, 1.0, seed) for seed in range(20)]
    found = [estimate_calibration(probabilities, labels, episodes) for probabilities, labels in drawn]
    assert np.mean([one.error for one in found]) == pytest.approx(np.mean([one.floor for one in found]), abs=0.01)
    assert np.mean([one.floor for one in found]) > 0.04
    assert np.median([one.root_mean_square for one in found]) < 0.04
    assert np.mean([one.interval[0] <= one.floor for one in found]) > 0.7


def draw_episodes(count: int, temperature: float, rng: np.random.Generator):
    """Return probabilities, labels and episodes of 20, each tenth label shifted towards its episode's luck."""
    true = rng.dirichlet([0.5, 0.5, 0.5], 20 * count)
    labels = (true.cumsum(axis=1) > rng.random((20 * count, 1))).argmax(axis=1)
    episodes = np.repeat(np.arange(count), 20)
    lucky = (rng.random(20 * count) < 0.1) & (rng.random(count) < 0.5)[episodes]
    labels = np.where(lucky, true.argmax(axis=1), labels)
    return with_temperature(true, temperature), labels, episodes.astype(str)


@pytest.mark.parametrize(("temperature", "episodes"), [(1.0, 11), (1.0, 50), (0.6, 11), (0.4, 50)])
def test_the_interval_holds_the_error_that_many_decisions_show_as_often_as_it_says(temperature, episodes):
    rng = np.random.default_rng(7)
    many = draw_episodes(20_000, temperature, rng)
    true = calibration_error(many[0], many[1])
    held = 0
    for _ in range(60):
        found = estimate_calibration(*draw_episodes(episodes, temperature, rng))
        assert found.interval[0] <= found.error <= found.interval[1]
        held += found.interval[0] <= true <= found.interval[1]
    assert held >= 54  # 57 are expected, or more


def test_one_episode_tells_nothing_of_the_error():
    probabilities, labels = draw(30, 1.0)
    assert estimate_calibration(probabilities, labels, ["only"] * 30).interval == (0.0, 1.0)


def test_an_overconfident_policy_has_an_error_beyond_chance():
    probabilities, labels = draw(2000, 0.3)
    found = estimate_calibration(probabilities, labels, [str(n // 20) for n in range(2000)])
    assert found.interval[0] > 3 * found.floor
    assert found.interval[0] <= found.error <= found.interval[1]
    assert found.root_mean_square > found.error


def test_only_some_of_many_answers_are_kept_but_the_temperature_is_fitted_on_all(tmp_path):
    probabilities, labels = draw(MOST_KEPT + 5000, 0.5)
    answers = keep(probabilities, labels)
    assert (len(answers.labels), answers.judged) == (MOST_KEPT, MOST_KEPT + 5000)
    assert answers.temperature == fit_temperature(probabilities, labels)
    assert answers.episodes[-1] == f"e{(MOST_KEPT + 5000) // 10 - 1}"
    write_answers(tmp_path, answers)
    assert (tmp_path / "heldout.json").stat().st_size < 1_000_000
    assert read_answers(tmp_path) == answers


def test_an_action_that_was_not_on_offer_stays_impossible_at_any_temperature():
    rows = np.array([[0.7, 0.3, 0.0], [1.0, 0.0, 0.0]])
    hot = with_temperature(rows, 20.0)
    assert hot[:, 2].tolist() == [0.0, 0.0]
    assert hot.sum(axis=1).tolist() == pytest.approx([1.0, 1.0])
    assert hot[0, :2] == pytest.approx(with_temperature(rows[:1, :2], 20.0)[0])
    answers = keep_answers(np.array([[0.7, 0.3 - 1e-9, 1e-9]] * 8), [0, 0, 0, 1] * 2, list("abcdabcd"), "xyz")
    assert answers.probabilities[0][2] == 1e-9  # on offer, and improbable
