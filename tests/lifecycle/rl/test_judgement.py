"""Whether an improved version may serve: the level of each attempt, and what is held against a version."""

from __future__ import annotations

import pytest

from aegis.lifecycle import open_store
from aegis.lifecycle.rl.judgement import confidence_of, judge, judge_pairs, let_serve, next_attempt
from aegis.lifecycle.rl.measurement import Measured, recall_gain
from aegis.promotion import ModelRegistry

BEFORE = [0.5, 0.6, 0.7, 0.4]
BETTER = [0.7, 0.85, 0.88, 0.63]


def save(name, folder):
    (folder / "model").write_text("weights")


def test_the_levels_of_all_attempts_together_are_five_percent():
    assert confidence_of(1) == pytest.approx(0.95)
    one_sided = [(1 - confidence_of(attempt)) / 2 for attempt in range(1, 2000)]
    assert sum(one_sided) == pytest.approx(0.05, abs=1e-4)
    assert one_sided == sorted(one_sided, reverse=True)


def test_a_later_attempt_needs_a_surer_gain():
    first, tenth = (judge_pairs([0.7, 0.85, 0.78, 0.6], BEFORE, "hrm@1", attempt) for attempt in (1, 10))
    assert first.objection == ""
    assert "at attempt 10 the 99.9% interval must lie above 0" in tenth.objection
    assert judge_pairs(BEFORE, BEFORE, "hrm@1", 1).objection == "it earns no more"
    assert judge_pairs(BEFORE, BETTER, "hrm@1", 1).objection == "it surely earns less"
    assert "does not lie above 0" in judge_pairs([0.9, 0.6, 0.7, 0.4], BEFORE, "hrm@1", 1).objection


def measured(means, answered):
    return Measured(tuple(means), {"idle": 40}, ("nobody", "people") * 4, (0, 10) * 4, tuple(answered))


def test_a_version_that_surely_asks_less_where_a_person_answers_does_not_serve():
    doubled = [mean for mean in BEFORE for _ in range(2)]
    better = [mean for mean in BETTER for _ in range(2)]
    before = measured(doubled, (0, 8, 0, 9, 0, 7, 0, 8))
    assert before.units == pytest.approx(BEFORE)
    assert before.recall == 0.8
    assert before.of_kind("people") == BEFORE
    asks = judge(measured(better, (0, 8, 0, 9, 0, 8, 0, 7)), before, "hrm@1", 1)
    assert asks.objection == ""
    mute = judge(measured(better, (0, 2, 0, 1, 0, 2, 0, 1)), before, "hrm@1", 1)
    assert mute.objection.startswith("it surely asks less where a person answers: -0.650")
    assert recall_gain(Measured((0.1, 0.2), {"idle": 2}), Measured((0.1, 0.2), {"idle": 2}), "hrm@1") is None


def test_attempts_count_by_base_and_one_that_could_not_be_promoted_does_not(workspace):
    with open_store(workspace) as store:
        registry = ModelRegistry(store, workspace)
        registry.promote(save)
        for attempt in (1, None, 2):
            registry.keep(save, {"improvement": {"attempt": attempt}}, "hrm@1")
        registry.keep(save, {}, "hrm@1")
        assert (next_attempt(store, "hrm@1"), next_attempt(store, "hrm@9")) == (3, 1)
        refused = judge_pairs(BEFORE, BETTER, "hrm@1", 3)
        assert let_serve(store, registry, "hrm@2", refused, "there") is None
        accepted = judge_pairs(BETTER, BEFORE, "hrm@1", 1)
        assert let_serve(store, registry, "hrm@2", accepted, "a decision").name == "hrm@2"
        assert let_serve(store, registry, "hrm@3", accepted, "a decision") is None  # hrm@1 serves no longer
