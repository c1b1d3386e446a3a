"""The HRM beside simple models: the same splits, the same held-out decisions, honest intervals."""

from __future__ import annotations

import random

import pytest

from aegis.config import HRMConfig, TrainingConfig
from aegis.errors import ConfigError
from aegis.experiments import comparison
from aegis.experiments.comparison import (
    HRM_NAME,
    SENTENCE_NAME,
    Measurement,
    baselines,
    compare,
    draw_episodes,
    lead,
    summarise,
)
from aegis.research.run import read_shipped_data

SMALL = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=2)


@pytest.fixture(scope="module")
def shipped():
    return read_shipped_data()


@pytest.fixture(scope="module")
def measured(shipped):
    # Its model takes half a minute for these states; tests/real has it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "sentence_embeddings_installed", lambda: False)
        yield _measure(shipped)


def _measure(shipped):
    config = TrainingConfig(epochs=1, batch_size=64)
    return list(compare(shipped.decisions[:400], shipped.actions, [200, 400], [0, 1], config, SMALL))


def test_every_model_is_measured_on_the_same_held_out_decisions_at_every_size(measured):
    models = [*(name for name in baselines() if name != SENTENCE_NAME), HRM_NAME]
    expected = [(size, split, model) for split in (0, 1) for size in (200, 400) for model in models]
    assert [(one.size, one.split, one.model) for one in measured] == expected
    assert all(0 <= one.accuracy <= 1 for one in measured)
    for split in (0, 1):
        assert len({one.heldout for one in measured if one.split == split}) == 1


def test_a_size_beyond_the_data_is_refused(shipped):
    with pytest.raises(ConfigError, match="--sizes 401: there are 400 decisions"):
        list(compare(shipped.decisions[:400], shipped.actions, [401], [0], TrainingConfig(), SMALL))


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_smaller_size_takes_whole_episodes_until_its_share_is_reached(shipped, share):
    drawn = draw_episodes(shipped.decisions, share, random.Random(0))
    sizes = dict.fromkeys({decision.episode for decision in drawn}, 0)
    for decision in shipped.decisions:
        if decision.episode in sizes:
            sizes[decision.episode] += 1
    assert len(drawn) == sum(sizes.values())
    assert share * 1100 - 1 < len(drawn) < share * 1100 + 25


def test_a_larger_size_holds_the_smaller_one(shipped):
    small, large = (draw_episodes(shipped.decisions, share, random.Random(3)) for share in (0.2, 0.6))
    assert {decision.id for decision in small} < {decision.id for decision in large}


def test_the_summary_is_the_mean_with_students_interval_widened_for_splits_that_share_decisions():
    rows = summarise([Measurement(100, split, HRM_NAME, value, 20) for split, value in enumerate((0.5, 0.6, 0.7))])
    assert rows[0].mean == pytest.approx(0.6)
    half = 4.302653 * 0.1 * (1 / 3 + 20 / 80) ** 0.5  # 20 held out, 80 trained on
    assert rows[0].interval == pytest.approx((0.6 - half, 0.6 + half), abs=1e-6)
    assert rows[0].splits == 3


def test_an_interval_of_shares_stays_within_0_and_1():
    rows = summarise([Measurement(100, split, HRM_NAME, value, 50) for split, value in enumerate((0.6, 1.0))])
    assert rows[0].interval == (0.0, 1.0)


def test_the_lead_is_over_the_best_of_the_others_split_by_split():
    accuracies = {HRM_NAME: (0.8, 0.9), "ridge": (0.7, 0.8), "trees": (0.75, 0.71)}
    measured = [Measurement(100, k, name, own[k], 50) for name, own in accuracies.items() for k in (0, 1)]
    found = lead(measured, 100)
    assert found is not None
    best, by, interval = found
    assert best == "ridge"
    assert by == pytest.approx(0.1)
    assert interval == pytest.approx((0.1, 0.1))


def test_there_is_no_lead_before_the_hrm_is_measured():
    assert lead([Measurement(100, 0, "ridge", 0.7, 50)], 100) is None


@pytest.mark.parametrize("installed", [True, False])
def test_sentence_embeddings_are_compared_where_their_model_is_installed(installed, monkeypatch):
    monkeypatch.setattr(comparison, "sentence_embeddings_installed", lambda: installed)
    assert (SENTENCE_NAME in baselines()) == installed
