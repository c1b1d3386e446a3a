"""The benchmark of Stable-Baselines3's PPO learns, is evaluated in other worlds, and writes joinable points."""

from __future__ import annotations

import json
from dataclasses import asdict

from benchmarks.ppo import RULE_SERIES, SEARCH_SERIES, SERIES, learn, read_points, references

from aegis.research.environment import ResearchEnv
from aegis.research.search import SearchHit


class Library:
    name = "library"

    def search(self, query, limit):
        return [SearchHit(query, f"About {query}.", "docs", "things")]


def test_ppo_learns_and_is_evaluated_at_each_checkpoint(tmp_path):
    topics = ["json", "csv"]
    environments = ResearchEnv(search=Library(), topics=topics), ResearchEnv(search=Library(), topics=topics)
    points = learn(80, 2, range(2), 2, environments=environments, n_steps=40, batch_size=20, n_epochs=1)
    assert [point.decisions for point in points] == [0, 40, 80]
    assert all(-2.0 <= point.reward <= 3.0 and point.interval is not None for point in points)
    path = tmp_path / "points.json"
    path.write_text(json.dumps({"points": [asdict(point) for point in points]}))
    assert [point.series for point in read_points(path)] == [SERIES] * 3


def test_a_policy_that_needs_no_learning_is_a_level_line_beside_the_curves():
    heldout = ResearchEnv(search=Library(), topics=["json", "csv"])
    points = references(80, range(2), 2, heldout)
    assert [(point.series, point.decisions) for point in points] == [
        *((RULE_SERIES, made) for made in (0, 80)),
        *((SEARCH_SERIES, made) for made in (0, 80)),
    ]
    rewards = [point.reward for point in points]
    assert rewards[0] == rewards[1] != rewards[2] == rewards[3]
