from __future__ import annotations

import json
import random

import numpy as np
import pytest

from aegis.config import HRMConfig, TrainingConfig
from aegis.experiments.scan import forecast as scan_forecast
from benchmarks import forecast

SMALL = HRMConfig(high_width=32, high_layers=1, high_heads=2, low_width=16, low_layers=1, low_heads=2, max_segments=1)


def write_file(path, count):
    """Write decisions that `colour` settles where `sure` is yes; the others are drawn."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            colour, sure = rng.choice(["red", "green"]), rng.random() < 0.7
            right = {"red": "stop", "green": "go"}[colour]
            state = {"colour": colour, "sure": "yes" if sure else "no"}
            label = right if sure else rng.choice(["stop", "go"])
            file.write(json.dumps({"input": state, "label": label, "episode": f"e{number // 10}"}) + "\n")


def test_the_forecast_and_the_hrm_are_measured_on_the_same_decisions(tmp_path, monkeypatch):
    monkeypatch.setattr(forecast, "DRAWS", 20)
    monkeypatch.setattr(forecast, "HALVES", 20)
    write_file(tmp_path / "file.jsonl", 600)
    rows = forecast.read_rows(tmp_path / "file.jsonl")
    assert len({row.episode for row in rows}) == 60
    training = TrainingConfig(epochs=3, learning_rate=1e-2)
    model = forecast.TrainedHRM(training, SMALL, tmp_path / "kept")
    found, split = forecast.measure(rows, model)
    assert found["forecast"]["share"] <= found["forecast"]["hindsight"]
    assert found["HRM"]["agreement"] > 0.75
    assert found["range"][0] <= found["forecast"]["share"] <= found["range"][1]
    assert found["forecast, %"]["mean"] == pytest.approx(100 * found["forecast"]["share"])
    assert found["share of the HRM, %"]["mean"] == pytest.approx(100 * found["HRM"]["share"])
    assert set(split.names) <= {f"e{number}" for number in range(60)}
    answers = np.load(tmp_path / "kept" / "answers.npy")
    assert np.array_equal(model([], [], []), answers)  # the second time nothing is trained


def answers_of(episodes: int, seed: int = 0) -> scan_forecast.Answered:
    """Return ten answers an episode: right where the confidence is 0.9, by chance where it is below."""
    rng = np.random.default_rng(seed)
    sure, labels = rng.random(10 * episodes) < 0.5, rng.integers(2, size=10 * episodes)
    picked = np.where(sure, labels, rng.integers(2, size=10 * episodes))
    confidences = np.where(sure, 0.9, 0.6 + rng.random(10 * episodes) / 100)
    probabilities = np.stack([np.where(picked == action, confidences, 1 - confidences) for action in (0, 1)], axis=1)
    return scan_forecast.Answered.of(probabilities, labels, (np.arange(10 * episodes) // 10).tolist())


def test_what_is_reached_is_certified_at_95_percent_agreement(monkeypatch):
    monkeypatch.setattr(forecast, "DRAWS", 100)
    monkeypatch.setattr(forecast, "HALVES", 40)
    reached = forecast.weigh(answers_of(40))
    assert reached.interval[0] <= reached.share <= reached.interval[1]
    assert 0.45 < reached.share < reached.hindsight < 0.65  # the sure half, and as many others as 95% allows
    assert 0.7 < reached.agreement < 0.8
    assert reached.promised_agreement is not None
    assert reached.promised_agreement > 0.9
    assert reached.promised_share < reached.share  # half as many decisions certify less


def test_the_points_apart_have_no_noise_that_both_sides_share(monkeypatch):
    monkeypatch.setattr(forecast, "DRAWS", 100)
    answers = answers_of(40)
    apart = forecast.average([forecast.Split(answers, answers, answers.episodes.astype(str))])["points apart"]
    assert (apart["mean"], apart["interval"]) == (0.0, [0.0, 0.0])


def test_an_episode_that_comes_twice_certifies_as_two():
    answers = answers_of(12)
    split = forecast.Split(answers, answers, answers.episodes.astype(str))
    once, thrice = (split.shares(np.full(120, times)) for times in (1, 3))
    assert once[0] == once[1] < thrice[0]
    assert split.shares(np.zeros(120, dtype=int)) == (0.0, 0.0)


def test_an_episode_in_several_splits_is_drawn_in_all_of_them(monkeypatch):
    monkeypatch.setattr(forecast, "DRAWS", 100)
    answers = answers_of(40)
    one = forecast.Split(answers, answers, answers.episodes.astype(str))
    for thrice, once in zip(forecast.average([one] * 3).values(), forecast.average([one]).values(), strict=True):
        assert thrice["interval"] == pytest.approx(once["interval"])
    other = answers_of(40, seed=1)
    others = forecast.Split(other, other, np.char.add("other ", other.episodes.astype(str)))
    alone, both = (forecast.average(splits)["forecast, %"]["interval"] for splits in ([one], [one, others]))
    assert both[1] - both[0] < 0.9 * (alone[1] - alone[0])


def test_another_split_sets_other_episodes_aside(tmp_path):
    lines = [{"input": f"state {n}", "label": "ab"[n % 2], "episode": f"e{n // 10}"} for n in range(200)]
    (tmp_path / "file.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    rows = forecast.read_rows(tmp_path / "file.jsonl")
    assert forecast.split_again(rows, 0) == rows
    aside = [{row.text for row in scan_forecast.split(forecast.split_again(rows, split))[1]} for split in range(3)]
    assert aside[0] != aside[1] != aside[2]
