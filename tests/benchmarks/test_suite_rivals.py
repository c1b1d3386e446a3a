"""Every rival of the suite learns a rule that words and fields show, and answers with probabilities."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from aegis.config import HRMConfig
from aegis.hrm.model import PARAMETERS
from aegis.lifecycle.training import student
from aegis.training import ImitationTrainer
from benchmarks.decisions import parts
from benchmarks.decisions.problem import Card, Logged, Problem
from benchmarks.decisions.rivals import reader, sentences, tracer, trained
from benchmarks.decisions.rivals.names import RIVALS, SIMPLE
from benchmarks.decisions.rivals.rival import soft_targets, spread

SMALL = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=1)


def logged(n: int) -> Logged:
    wall = "left" if n % 2 else "right"
    shares = {"turn_left": 0.1, "turn_right": 0.9} if wall == "left" else {"turn_left": 0.8, "turn_right": 0.2}
    return Logged(f"walk {n // 4}", n % 4, {"wall": wall, "n": n}, max(shares, key=shares.__getitem__), shares)


@pytest.fixture(scope="module")
def found():
    problem = Problem("walks", Card("Which way", "made here", "none", "a rule", "a walk"), list)
    return parts.learn_and_develop(problem, map(logged, range(200)), 60, 0)


@pytest.fixture
def fake_encoder(monkeypatch):
    """Replace MiniLM, which takes ten seconds to load, by vectors that say which wall stands where."""

    def encode(texts):
        return np.array([["left" in text, "right" in text, len(text) % 7] for text in texts], dtype=float)

    known = {}
    monkeypatch.setattr(sentences, "_embedded", lambda: known)
    for room in (sentences, tracer):
        monkeypatch.setattr(room, "encode", encode)
        monkeypatch.setattr(room, "encoder_megabytes", lambda: 90.0)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "tracer" else []) for name in SIMPLE]
)
def test_a_rival_learns_the_rule(name, found, fake_encoder):
    if name == "tracer" and importlib.util.find_spec("tracer") is None:
        pytest.skip("tracer-llm is not installed: make suite installs it")
    rival = RIVALS[name]
    learned = rival.learn(found.train, found.actions, 0, **rival.settings[0])
    answers = learned.answer(found.judged)
    assert answers.shape == (len(found.judged), 2)
    assert answers.sum(axis=1) == pytest.approx(1.0)
    right = answers.argmax(axis=1) == soft_targets(found.judged, found.actions).argmax(axis=1)
    assert right.mean() > (0.9 if name not in ("commonest", "tracer") else 0.3)
    assert (learned.milliseconds(found.judged[:3], found.actions) is None) == (learned.megabytes is None)


@pytest.mark.parametrize("layers", [0, 1])
def test_a_reader_learns_the_rule_with_the_hrms_tables(layers, found):
    learned = reader.learn_reader(
        found.train,
        found.actions,
        0,
        layers,
        1e-2,
        epochs=4,
        tables=HRMConfig(high_width=16, high_heads=1, low_width=4),
    )
    answers = learned.answer(found.judged)
    assert answers.sum(axis=1) == pytest.approx(1.0)
    assert (answers.argmax(axis=1) == soft_targets(found.judged, found.actions).argmax(axis=1)).mean() > 0.9


def test_the_plain_transformer_has_as_many_parameters_as_the_hrm():
    with torch.device("meta"):
        counted = reader.Reader(reader.LAYERS).parameter_count
    assert abs(counted - PARAMETERS) < 1e-4 * PARAMETERS


def test_the_hrm_answers_as_a_rival_and_decides_from_a_raw_state(found):
    learned = trained.learn_hrm(found.train, found.actions, 0, segments=1, epochs=1, model=SMALL)
    assert learned.answer(found.judged[:5]).sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (learned.milliseconds(found.judged[:2], found.actions) or 0) > 0


def test_the_hrm_and_the_regression_answer_together(found):
    learned = trained.learn_student(found.train, found.actions, 0, "mixed", epochs=1, model=SMALL)
    assert learned.answer(found.judged[:5]).sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (learned.milliseconds(found.judged[:2], found.actions) or 0) > 0


def test_rivals_that_train_the_same_hrm_train_it_once_and_each_count_its_time(found, monkeypatch):
    trained._kept.clear()
    trainings, train = [], ImitationTrainer.train

    def train_and_note(trainer, decisions, *rest):
        trainings.append(len(decisions))
        return train(trainer, decisions, *rest)

    monkeypatch.setattr(ImitationTrainer, "train", train_and_note)
    alone = trained.learn_hrm(found.train, found.actions, 0, epochs=1, model=SMALL)
    both = trained.learn_student(found.train, found.actions, 0, "mixed", epochs=1, model=SMALL)
    assert trainings == [len(found.train)]
    assert (both.seconds or 0) > (alone.seconds or 0) > 0
    trained.learn_hrm(found.train[:50], found.actions, 0, epochs=1, model=SMALL)
    trained.learn_hrm(found.train[:50], found.actions, 1, epochs=1, model=SMALL)
    assert trainings == [len(found.train), 50, 50]


def test_the_student_that_auto_chooses_answers_and_reads_all_that_the_regression_may(found, monkeypatch):
    fitted = []

    def note(decisions, *rest):
        fitted.append({one.episode for one in decisions})
        return student.fit_linear(decisions, *rest)

    monkeypatch.setattr(trained, "fit_linear", note)
    learned = trained.learn_student(found.train, found.actions, 0, "auto", epochs=1, model=SMALL)
    assert learned.answer(found.judged).argmax(axis=1).tolist() == [
        found.actions.index(example.action) for example in found.judged
    ]  # the rule is a word: the regression has it, and an HRM of one epoch has not
    assert (learned.milliseconds(found.judged[:2], found.actions) or 0) > 0
    some, every = fitted
    assert some < every == {example.given.episode for example in found.train}


def test_the_targets_are_soft_and_actions_that_were_never_taken_get_nothing(found):
    assert set(np.unique(soft_targets(found.train, found.actions))) == {0.1, 0.2, 0.8, 0.9}
    assert spread(np.array([[0.3, 0.7]]), [0, 2], ["a", "b", "c"]).tolist() == [[0.3, 0.0, 0.7]]
