from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aegis.hrm import HRM, HRMPolicy, StateCodec
from aegis.training import measure_thinking


@pytest.fixture
def decisions(learnable):
    return learnable[1]


def make_policy(actions, tiny_config, halt_bias) -> HRMPolicy:
    torch.manual_seed(0)
    model = HRM(replace(tiny_config, max_segments=3))
    torch.nn.init.constant_(model.halting.bias, halt_bias)
    return HRMPolicy(model, StateCodec(max_tokens=64), actions)


@pytest.mark.parametrize(("halt_bias", "segments"), [(-50.0, 3), (50.0, 1)])
def test_the_halting_unit_decides_how_long_the_model_thinks(actions, tiny_config, decisions, halt_bias, segments):
    measured = measure_thinking(make_policy(actions, tiny_config, halt_bias), decisions)
    assert measured.mean_segments == segments
    assert measured.max_segments == 3
    assert measured.counts == {number: len(decisions) * (number == segments) for number in (1, 2, 3)}


def test_thinking_to_the_end_ignores_the_halting_unit(actions, tiny_config, decisions):
    states = [decision.state for decision in decisions]
    to_the_end, segments = make_policy(actions, tiny_config, 50.0).think(states, to_the_end=True)
    assert segments.tolist() == [3] * len(states)
    patient, _ = make_policy(actions, tiny_config, -50.0).think(states)
    assert torch.equal(to_the_end, patient)
    labels = [actions.index(decision.action.name) for decision in decisions]
    right = sum(int(row.argmax()) == label for row, label in zip(to_the_end, labels, strict=True))
    measured = measure_thinking(make_policy(actions, tiny_config, 50.0), decisions)
    assert measured.accuracy_to_the_end == pytest.approx(right / len(decisions))


def test_thinking_can_not_be_measured_without_decisions(actions, tiny_config):
    with pytest.raises(ValueError, match="no decisions"):
        measure_thinking(make_policy(actions, tiny_config, 0.0), [])
