"""Versions loaded while phase 4 learns: their actions are drawn, and the reference makes its part of the decisions."""

from __future__ import annotations

import copy
import gc
import random
from dataclasses import replace

import pytest
import torch

from aegis.config import HRMConfig, ReinforceConfig
from aegis.hrm import HRM, HRMPolicy, StateCodec, write_delta
from aegis.lifecycle.policies.background import BackgroundLoad
from aegis.lifecycle.policies.exploration import Exploration
from aegis.lifecycle.policies.loading import VersionLoader
from aegis.lifecycle.policies.tempered import CONTROL_STRETCH, temper
from aegis.promotion import Serving
from aegis.promotion.monitoring.drift import fit_drift, read_drift, write_drift
from aegis.research import RESEARCH_ACTIONS

TINY = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2, max_segments=1)
CONFIG = ReinforceConfig(temperature=0.5, control_every=5)
STATE = {"cue": "now web please"}


@pytest.fixture
def models(workspace):
    """Return the folder of a base, hrm@1, and of a version improved from it, hrm@2."""
    torch.manual_seed(0)
    base = HRMPolicy(HRM(TINY), StateCodec(64), RESEARCH_ACTIONS)
    base.save_as("hrm@1", workspace.models / "hrm@1")
    improved = HRMPolicy(copy.deepcopy(base.model), base.codec, RESEARCH_ACTIONS)
    with torch.no_grad():
        for parameter in improved.model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    write_delta(improved, base.model, "hrm@1", "hrm@2", workspace.models / "hrm@2")
    _, trained = base.answer([{"cue": f"now {number}"} for number in range(60)], RESEARCH_ACTIONS)
    write_drift(workspace.models / "hrm@1", fit_drift(trained[:40], trained[40:]))
    return workspace.models


@pytest.fixture
def exploration():
    return Exploration(CONFIG, random.Random(0), "eager")


@pytest.fixture
def load(workspace, models, exploration):
    loader = VersionLoader(workspace, "cpu", "eager", exploration=exploration)
    return lambda name: loader.load(Serving(name, models / name, ""))


@pytest.mark.parametrize("name", ["hrm@1", "hrm@2"])
def test_a_version_draws_actions_at_the_temperature(load, models, name):
    (choice,) = load(name).decide([STATE], RESEARCH_ACTIONS)
    (plain,) = HRMPolicy.load(models / name).decide([STATE], RESEARCH_ACTIONS)
    assert choice.probabilities == pytest.approx(temper(plain.probabilities, 0.5), abs=1e-5)
    assert (choice.policy, choice.kind, plain.drawn) == (name, "hrm", False)
    assert choice.propensity == choice.probabilities[RESEARCH_ACTIONS.index(choice.action)]


def test_an_improved_version_leaves_a_part_of_the_decisions_to_its_reference_and_more_on_suspicion(load, exploration):
    exploration.compare_with("hrm@1")
    policy = load("hrm@2")
    assert policy.name == "hrm@2"

    def control() -> float:
        names = [one.policy for one in policy.decide([STATE] * 120 * CONTROL_STRETCH, RESEARCH_ACTIONS)]
        assert set(names) == {"hrm@1", "hrm@2"}
        return names.count("hrm@1") / len(names)

    before = control()
    exploration.compare_with("hrm@1", close=True)
    assert control() > before + 0.1


def test_turns_go_on_with_the_next_version_and_begin_anew_with_another_reference_or_process(models, workspace):
    def turns_of(exploration, name):
        policy = VersionLoader(workspace, "cpu", "eager", exploration=exploration).load(
            Serving(name, models / name, "")
        )
        choices = policy.decide([STATE] * 120 * CONTROL_STRETCH, RESEARCH_ACTIONS)
        return [one.policy for one in choices], [one.turn for one in choices]

    improve(models, "hrm@3")
    one, other = (Exploration(CONFIG, random.Random(0), "eager") for _ in range(2))  # two processes with the same seed
    for exploration in (one, other):
        exploration.compare_with("hrm@1")
    (_, turns), (names, _) = turns_of(one, "hrm@2"), turns_of(one, "hrm@3")
    assert turns_of(one, "hrm@3")[1][0] == turns[0]._replace(stretch=240)
    others = turns_of(other, "hrm@2")[0]
    assert [name == "hrm@1" for name in names] != [name == "hrm@1" for name in others]
    one.compare_with("hrm@2")
    _, anew = turns_of(one, "hrm@3")
    assert anew[0].stretch == 0
    assert anew[0].series != turns[0].series
    assert set(turns_of(one, "hrm@2")[1]) == {None}  # the reference decides alone


@pytest.mark.parametrize("explores", [True, False])
def test_an_improved_version_and_its_control_tell_states_out_of_distribution_as_their_base_does(
    workspace, models, exploration, explores
):
    states = [{"cue": f"now {number}"} for number in range(8)] + [{"other": "word " * number} for number in range(8)]
    detector = read_drift(models / "hrm@1")
    _, represented = HRMPolicy.load(models / "hrm@1").answer(states, RESEARCH_ACTIONS)
    unlike = (detector.measure(represented) > detector.threshold(0.9)).tolist()
    assert {True, False} == set(unlike)
    exploration.compare_with("hrm@1", close=True)
    loader = VersionLoader(workspace, "cpu", "eager", 0.9, exploration if explores else None)
    policy = loader.load(Serving("hrm@2", models / "hrm@2", ""))
    made = [policy.decide([state], RESEARCH_ACTIONS)[0] for _ in range(2 * CONTROL_STRETCH) for state in states]
    assert [choice.out_of_distribution for choice in made] == unlike * 2 * CONTROL_STRETCH
    assert {choice.policy for choice in made} == ({"hrm@1", "hrm@2"} if explores else {"hrm@2"})
    assert all(choice.drawn == explores for choice in made)


@pytest.mark.parametrize("explores", [True, False])
@pytest.mark.parametrize("quantile", [0.0, 0.9])
def test_what_a_version_keeps_is_its_bases_whoever_loads_it(workspace, models, explores, quantile):
    base = HRMPolicy.load(models / "hrm@1")
    (before,) = base.decide([STATE], RESEARCH_ACTIONS)
    other = next(name for name in RESEARCH_ACTIONS.names if name != before.action)
    keep = (f"{before.action} where cue=now web please", f"{other} where cue=now web please")
    improved = HRMPolicy(copy.deepcopy(base.model), base.codec, RESEARCH_ACTIONS)
    with torch.no_grad():
        improved.model.output.bias.copy_(torch.randn_like(improved.model.output.bias))
    write_delta(improved, base.model, "hrm@1", "hrm@3", models / "hrm@3", keep=keep)
    exploration = Exploration(replace(CONFIG, keep=keep), random.Random(0), "eager") if explores else None
    policy = VersionLoader(workspace, "cpu", "eager", quantile, exploration).load(
        Serving("hrm@3", models / "hrm@3", "")
    )
    alike = {"cue": "now  web please"}
    kept, free = policy.decide([STATE, alike], RESEARCH_ACTIONS)
    assert (kept.action, kept.policy, kept.drawn) == (before.action, "hrm@3", False)
    assert (free.drawn, free.policy) == (explores, "hrm@3")
    (own,) = improved.decide([alike], RESEARCH_ACTIONS)
    assert free.probabilities == pytest.approx(temper(own.probabilities, 0.5 if explores else 1.0), abs=1e-5)


def test_the_control_keeps_what_improved_versions_keep_so_that_it_counts_for_neither(workspace, models):
    (before,) = HRMPolicy.load(models / "hrm@1").decide([STATE], RESEARCH_ACTIONS)
    exploration = Exploration(replace(CONFIG, keep=(before.action,)), random.Random(0), "eager")
    exploration.compare_with("hrm@1", close=True)
    loader = VersionLoader(workspace, "cpu", "eager", exploration=exploration)
    for name in ("hrm@1", "hrm@2"):
        policy = loader.load(Serving(name, models / name, ""))
        made = [policy.decide([STATE], RESEARCH_ACTIONS)[0] for _ in range(20 * CONTROL_STRETCH)]
        assert {(one.action, one.drawn, one.turn) for one in made} == {(before.action, False, None)}
        assert {one.policy for one in made} == {"hrm@1", name}


def test_without_the_quantile_no_base_is_loaded_beside_an_improved_version(workspace, models):
    policy = VersionLoader(workspace, "cpu", "eager").load(Serving("hrm@2", models / "hrm@2", ""))
    assert isinstance(policy, HRMPolicy)
    assert policy.decide([STATE], RESEARCH_ACTIONS)[0].out_of_distribution is None


def count_models() -> int:
    """Return how many models are in memory."""
    gc.collect()
    return sum(type(one) is HRM for one in gc.get_objects())


def improve(models, name, base="hrm@1"):
    """Keep one more version that is improved from a base."""
    version = HRMPolicy.load(models / base)
    changed = HRMPolicy(copy.deepcopy(version.model), version.codec, RESEARCH_ACTIONS)
    with torch.no_grad():
        changed.model.output.weight[:2] += 0.1
    write_delta(changed, version.model, base, name, models / name)


@pytest.mark.parametrize("quantile", [0.0, 0.99])
def test_many_versions_one_after_the_other_leave_only_the_base_the_reference_and_the_one_that_serves(
    workspace, models, exploration, quantile
):
    before = count_models()
    loader = VersionLoader(workspace, "cpu", "eager", drift_quantile=quantile, exploration=exploration)
    exploration.compare_with("hrm@2")
    background = BackgroundLoad(loader.load)
    for number in range(2, 12):
        if number > 2:
            improve(models, f"hrm@{number}")
        policy = background.load_now(Serving(f"hrm@{number}", models / f"hrm@{number}", ""), loader.load)
        policy.decide([STATE], RESEARCH_ACTIONS)
    del policy
    assert count_models() - before == 3
    # A newly trained HRM takes over: of the line before it nothing is left.
    HRMPolicy.load(models / "hrm@1").save_as("hrm@12", models / "hrm@12")
    background.load_now(Serving("hrm@12", models / "hrm@12", ""), loader.load)
    assert count_models() - before == 1


def test_the_model_that_the_base_answers_by_is_not_changed_by_a_version_that_differs_from_it(load, exploration, models):
    exploration.compare_with("hrm@1")
    kept = load("hrm@2")
    (own,) = HRMPolicy.load(models / "hrm@1").decide([STATE], RESEARCH_ACTIONS)
    (again,) = kept._reference.policy.decide([STATE], RESEARCH_ACTIONS)
    assert again.probabilities == own.probabilities
