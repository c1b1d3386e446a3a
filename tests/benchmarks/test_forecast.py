from __future__ import annotations

import json
import random

from aegis.config import HRMConfig, TrainingConfig
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


def test_the_forecast_and_the_hrm_are_measured_on_the_same_decisions(tmp_path):
    write_file(tmp_path / "file.jsonl", 600)
    rows = forecast.read_rows(tmp_path / "file.jsonl")
    assert len({row.episode for row in rows}) == 60
    training = TrainingConfig(epochs=3, learning_rate=1e-2)
    found = forecast.measure(rows, forecast.TrainedHRM(training, SMALL))
    low, high = found["forecast"]["share_interval"]
    assert low < 0.7 < high
    assert found["HRM's agreement"] > 0.75
    assert abs(found["points apart"]) < 15
