"""An HRM with its teacher behind it: who decides which state, and what each choice says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from aegis.errors import ConfigError, TeacherError
from aegis.hrm import StateCodec
from aegis.lifecycle.policies.deferring import NEVER, DeferringPolicy, DistributionCheckedPolicy, check_distribution
from aegis.promotion.monitoring.drift import fit_drift, read_drift, write_drift
from aegis.rendering import to_state
from aegis.research import RESEARCH_ACTIONS
from aegis.testing import ScriptedTeacher, check_policy
from aegis.types import ActionList, ActionSpec, Choice

ACTIONS = ActionList((ActionSpec("a", "a", "first"), ActionSpec("b", "b", "second")))
NEAR, FAR = {"at": 0.0}, {"at": 50.0}


class Fixed:
    """Answers with what the state says, or always alike."""

    parameters = 7

    def __init__(self, name: str, answer: float | None = None) -> None:
        self.name = name
        self.answer = answer
        self.asked = 0

    def decide(self, states, actions):
        self.asked += len(states)
        sure = [float(state.get("sure", 0.5)) if self.answer is None else self.answer for state in states]
        rows = [(share, 1 - share) if len(actions) == 2 else (1.0,) for share in sure]
        return [Choice.best(row, actions, self.name) for row in rows]


class Seeing(ScriptedTeacher):
    """Represents a state by the number in it."""

    actions = RESEARCH_ACTIONS
    codec = StateCodec(64)

    def answer(self, states, actions):
        rows = [choice.probabilities for choice in self.decide(states, actions)]
        return np.array(rows), np.array([[state.get("at", 0.0), 0.1] for state in states], dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    train, heldout = (rng.normal(size=(count, 2)).astype(np.float32) for count in (200, 100))
    write_drift(tmp_path, fit_drift(train, heldout))
    return tmp_path


def test_the_hrm_decides_where_it_is_confident_and_the_teacher_elsewhere():
    hrm, teacher = Fixed("hrm@1"), Fixed("gpt2", 0.0)
    policy = DeferringPolicy(hrm, lambda: teacher, 0.8)
    (kept,) = policy.decide([{"sure": 0.9}], ACTIONS)
    assert (kept.policy, kept.action) == ("hrm@1", "a")
    assert kept.probabilities == pytest.approx((0.9, 0.1))
    (deferred,) = policy.decide([{"sure": 0.6}], ACTIONS)
    assert (deferred.policy, deferred.action, deferred.probabilities) == ("gpt2", "b", (0.0, 1.0))
    assert (kept.deferred, deferred.deferred) == ("", "unsure")
    assert (policy.name, teacher.asked) == ("hrm@1", 1)


def test_only_unsure_states_reach_the_teacher_and_the_order_stays():
    teacher = Fixed("gpt2", 0.0)
    policy = DeferringPolicy(Fixed("hrm@1"), lambda: teacher, 0.8)
    choices = policy.decide([{"sure": s} for s in (0.9, 0.5, 0.95, 0.7)], ACTIONS)
    assert [round(choice.probabilities[0], 2) for choice in choices] == [0.9, 0.0, 0.95, 0.0]
    assert [choice.policy for choice in choices] == ["hrm@1", "gpt2", "hrm@1", "gpt2"]
    assert teacher.asked == 2


def test_the_confidence_is_the_calibrated_one():
    for temperature, decider in ((1.0, "gpt2"), (0.3, "hrm@1")):
        policy = DeferringPolicy(Fixed("hrm@1"), lambda: Fixed("gpt2", 0.0), 0.8, temperature)
        assert policy.decide([{"sure": 0.7}], ACTIONS)[0].policy == decider


def test_a_confidence_exactly_at_the_bound_is_enough():
    policy = DeferringPolicy(Fixed("hrm@1"), lambda: Fixed("gpt2", 0.0), 0.0)
    assert policy.decide([{"sure": 0.5}], ACTIONS)[0].policy == "hrm@1"


def test_a_deferring_policy_keeps_the_contract_of_every_policy():
    check_policy(DeferringPolicy(Fixed("hrm@1"), lambda: Fixed("gpt2", 0.25), 0.8), ACTIONS)


def test_a_policy_that_checks_the_distribution_keeps_the_contract_of_every_policy(folder):
    checked = check_distribution(Seeing(name="hrm@1"), folder, 0.999)
    assert isinstance(checked, DistributionCheckedPolicy)
    check_policy(checked, RESEARCH_ACTIONS, [NEAR, FAR])


@pytest.mark.parametrize("bound", [-0.1, 1.1, float("nan")])
def test_a_bound_that_is_no_probability_is_refused(bound):
    with pytest.raises(ConfigError, match="--defer-below must lie between 0 and 1"):
        DeferringPolicy(Fixed("hrm@1"), lambda: Fixed("gpt2"), bound)


def test_a_state_out_of_distribution_goes_to_the_teacher_which_is_loaded_then_and_other_states_do_not(folder):
    loaded = []

    def load():
        loaded.append(1)
        return ScriptedTeacher(name="gpt2")

    policy = DeferringPolicy(check_distribution(Seeing(name="hrm@1"), folder, 0.999), load, 0.0)
    (near,) = policy.decide([NEAR], RESEARCH_ACTIONS)
    assert (near.policy, near.kind, near.out_of_distribution) == ("hrm@1", "hrm", False)
    assert not loaded
    (far,) = policy.decide([FAR], RESEARCH_ACTIONS)
    assert (far.policy, far.kind, far.out_of_distribution) == ("gpt2", "teacher", True)
    both = policy.decide([FAR, NEAR], RESEARCH_ACTIONS)
    assert [choice.policy for choice in both] == ["gpt2", "hrm@1"]


@pytest.mark.parametrize(
    ("states_cut", "unlike"), [(0.0, True), (0.02, True), (0.03, False), (1.0, False), (None, False)]
)
def test_a_state_that_is_cut_is_unlike_the_training_where_nearly_none_was_cut_there(folder, states_cut, unlike):
    detector = read_drift(folder)
    assert detector is not None
    write_drift(folder, replace(detector, states_cut=states_cut))
    hrm = Seeing(name="hrm@1")
    policy = DeferringPolicy(check_distribution(hrm, folder, 0.999), ScriptedTeacher, 0.0)
    short, long = {**NEAR, "text": "The lamp flickers. " * 9}, {**NEAR, "text": "The lamp flickers. " * 40}
    choices = policy.decide([short, long], RESEARCH_ACTIONS)
    assert [choice.out_of_distribution for choice in choices] == [False, unlike]
    assert [choice.kind == "teacher" for choice in choices] == [False, unlike]
    assert [one.deferred for one in choices] == ["", "unlike" if unlike else ""]
    assert bool(policy.decide_own([long], RESEARCH_ACTIONS)[0].deferred) == unlike


def test_a_state_that_names_what_is_no_text_is_the_teachers(folder):
    policy = DeferringPolicy(check_distribution(Seeing(name="hrm@1"), folder, 0.999), ScriptedTeacher, 0.0)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}}
    words = [{"role": "user", "content": [{"type": "text", "text": "Look"}]}]
    shown = [{"role": "user", "content": [{"type": "text", "text": "Look"}, picture]}]
    states = [{**NEAR, **to_state(one)} for one in (words, shown)]
    choices = policy.decide(states, RESEARCH_ACTIONS)
    assert [(choice.kind == "teacher", choice.out_of_distribution) for choice in choices] == [
        (False, False),
        (True, True),
    ]


def test_if_the_teacher_fails_the_hrm_decides_and_the_teacher_is_not_asked_for_a_while(folder):
    tries, told = [], []

    def fail():
        tries.append(1)
        raise TeacherError("no such model here")

    hrm = check_distribution(Seeing(name="hrm@1"), folder, 0.999)
    policy = DeferringPolicy(hrm, fail, 0.0, on_failure=told.append)
    for _ in range(3):
        (choice,) = policy.decide([FAR], RESEARCH_ACTIONS)
        assert (choice.policy, choice.out_of_distribution) == ("hrm@1", True)
    assert told == ["no such model here"]
    assert len(tries) == 1  # loading may take seconds: not at each such state


def test_where_the_hrm_is_unsure_an_error_of_the_teacher_is_raised():
    policy = DeferringPolicy(Fixed("hrm@1"), lambda: cast(Any, None), 0.8)
    with pytest.raises(AttributeError):
        policy.decide([{"sure": 0.5}], ACTIONS)


@pytest.mark.parametrize("quantile", [0.0, 0.999])
def test_without_a_detector_or_with_the_quantile_0_the_distribution_is_unknown(tmp_path, quantile):
    hrm = Seeing(name="hrm@1")
    assert check_distribution(hrm, tmp_path, quantile) is hrm
    (choice,) = DeferringPolicy(hrm, ScriptedTeacher, 0.0).decide([FAR], RESEARCH_ACTIONS)
    assert (choice.policy, choice.out_of_distribution) == ("hrm@1", None)


def test_a_confidence_that_is_never_reached_leaves_everything_to_the_teacher():
    teacher = Fixed("gpt2", 0.0)
    policy = DeferringPolicy(Fixed("hrm@1"), lambda: teacher, NEVER)
    assert [choice.policy for choice in policy.decide([{"sure": 1.0}, {"sure": 0.5}], ACTIONS)] == ["gpt2"] * 2


def test_it_says_which_choices_of_the_hrm_alone_it_would_make():
    policy = DeferringPolicy(Fixed("hrm@1"), lambda: Fixed("gpt2", 0.0), 0.8)
    sure, unsure = Fixed("hrm@1").decide([{"sure": 0.9}, {"sure": 0.7}], ACTIONS)
    assert [policy.keeps(choice) for choice in (sure, unsure)] == [True, False]
    assert not policy.keeps(replace(sure, out_of_distribution=True))


def test_of_many_states_the_hrm_decides_its_own_without_asking_the_teacher():
    hrm, teacher = Fixed("hrm@1"), Fixed("gpt2", 0.0)
    policy = DeferringPolicy(hrm, lambda: teacher, 0.8)
    first, second, third = policy.decide_own([{"sure": 0.9}, {"sure": 0.6}, {"sure": 0.95}], ACTIONS)
    assert (first, second, third) == (
        *policy.decide([{"sure": 0.9}], ACTIONS),
        replace(hrm.decide([{"sure": 0.6}], ACTIONS)[0], deferred="unsure"),
        hrm.decide([{"sure": 0.95}], ACTIONS)[0],
    )
    assert teacher.asked == 0
    assert policy.decide_own([], ACTIONS) == []


def test_what_is_out_of_distribution_is_not_the_hrms_own(folder):
    checked = check_distribution(cast(Any, Seeing()), folder, 0.99)
    policy = DeferringPolicy(checked, lambda: Fixed("gpt2", 0.0), 0.0)
    near, far = policy.decide_own([NEAR, FAR], RESEARCH_ACTIONS)
    assert (near.out_of_distribution, near.deferred) == (False, "")
    assert (far.out_of_distribution, far.deferred) == (True, "unlike")
