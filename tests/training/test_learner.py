from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aegis.config import TrainingConfig
from aegis.hrm import HRM, StateCodec, action_outputs
from aegis.training import ImitationTrainer, encode_decisions
from aegis.training.learner import Learner
from aegis.training.optimizer import HRMOptimizer
from aegis.training.team import Team

CONFIG = TrainingConfig(batch_size=16, learning_rate=3e-3, bf16=False, max_tokens=48)


@pytest.fixture
def make_learner(actions, tiny_config):
    """Return a function that returns a learner, with the same new model each time, and the list of its notices."""

    def make(config=CONFIG, device="cpu", team=None):
        model = ImitationTrainer(actions, config, replace(tiny_config, dropout=0.0, max_segments=3)).initialise()
        model.to(device)
        lines: list[str] = []
        outputs = action_outputs(actions, model.config.vocab_size, device=torch.device(device))
        return Learner(model, HRMOptimizer(model, config), outputs, config, False, lines.append, team), lines

    return make


@pytest.fixture
def data(learnable, actions):
    return encode_decisions(learnable[0], actions, StateCodec(48))


def refuse_more_than(most, monkeypatch):
    """Let the model run out of memory on more rows than `most`; return the list of its calls' numbers of rows."""
    asked, forward = [], HRM.forward

    def limited(self, tokens, *arguments, **options):
        asked.append(len(tokens))
        if len(tokens) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, tokens, *arguments, **options)

    monkeypatch.setattr(HRM, "forward", limited)
    return asked


def take_steps(learner, data, to_the_end):
    for start in (0, 16, 32):
        learner.step(data.batch(range(start, start + 16), 12), 3, to_the_end, 3e-3)
    return learner.take_totals()


@pytest.mark.parametrize("to_the_end", [False, True])
@pytest.mark.parametrize(("most", "part"), [(8, 8), (7, 4), (1, 1)])
def test_a_step_in_parts_after_a_lack_of_memory_gives_the_same_weights(
    make_learner, data, monkeypatch, to_the_end, most, part
):
    whole, silent = make_learner()
    expected = take_steps(whole, data, to_the_end)
    assert silent == []
    learner, lines = make_learner()
    asked = refuse_more_than(most, monkeypatch)
    loss, right = take_steps(learner, data, to_the_end)
    assert loss == pytest.approx(expected[0], rel=1e-4)
    assert right == expected[1]
    for name, tensor in whole.model.state_dict().items():
        if name.endswith("query_key_value.bias"):
            continue  # the keys' gradient is only rounding, which Adam scales up like any other
        torch.testing.assert_close(tensor, learner.model.state_dict()[name], rtol=1e-2, atol=1e-4)
    assert learner.part_size == part
    refused = [rows for rows in asked if rows > most]
    assert refused == [rows for rows in (16, 8, 4, 2) if rows > most]  # the smaller parts stay
    assert len(lines) == len(refused)


@pytest.mark.parametrize("to_the_end", [False, True])
def test_a_team_of_any_number_of_threads_gives_the_same_weights_to_the_last_bit(make_learner, data, to_the_end):
    whole, _ = make_learner()
    expected = take_steps(whole, data, to_the_end)
    found = []
    for threads in (1, 2, 3):
        with Team(threads) as team:
            learner, _ = make_learner(team=team)
            found.append((take_steps(learner, data, to_the_end), learner.model.state_dict()))
    for totals, weights in found:
        assert totals == found[0][0]
        assert all(torch.equal(tensor, found[0][1][name]) for name, tensor in weights.items())
    assert found[0][0] == (pytest.approx(expected[0], rel=1e-4), expected[1])
    for name, tensor in whole.model.state_dict().items():
        if name.endswith("query_key_value.bias"):
            continue  # the keys' gradient is only rounding, which Adam scales up like any other
        torch.testing.assert_close(tensor, found[0][1][name], rtol=1e-2, atol=1e-4)


def test_the_notice_names_the_device_and_the_parts(make_learner, data, monkeypatch):
    learner, lines = make_learner()
    refuse_more_than(8, monkeypatch)
    take_steps(learner, data, False)
    (line,) = lines
    assert line.startswith("not enough memory on cpu for 16 decisions at once: going on in parts of 8")


def test_too_little_memory_for_one_decision_is_an_error(make_learner, data, monkeypatch):
    learner, lines = make_learner()
    refuse_more_than(0, monkeypatch)
    with pytest.raises(torch.OutOfMemoryError):
        take_steps(learner, data, False)
    assert len(lines) == 4  # 16, 8, 4, 2


def test_other_errors_are_not_treated_as_a_lack_of_memory(make_learner, data, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("shapes differ")

    learner, lines = make_learner()
    monkeypatch.setattr(HRM, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        take_steps(learner, data, False)
    assert lines == []


@pytest.mark.gpu
@pytest.mark.parametrize("to_the_end", [False, True])
def test_a_step_on_cuda_gives_the_same_weights_as_on_the_cpu(make_learner, data, to_the_end):
    here, there = make_learner()[0], make_learner(device="cuda")[0]
    expected, found = take_steps(here, data, to_the_end), take_steps(there, data, to_the_end)
    assert found[0] == pytest.approx(expected[0], rel=1e-3)
    assert there.model.output.weight.device.type == "cuda"


def test_an_answer_that_a_later_segment_puts_right_does_not_count_in_the_training_accuracy(
    make_learner, data, monkeypatch
):
    """A right answer ends the thinking in training, so a later answer has seen the label."""
    batch, forward = data.batch(range(16)), HRM.forward

    def right_later(self, tokens, mask, outputs, carry=None, last=False):
        out = forward(self, tokens, mask, outputs, carry, last)
        wanted = torch.eye(3)[batch.labels]
        return replace(out, logits=out.logits * 0 + (-wanted if carry is None else wanted))

    monkeypatch.setattr(HRM, "forward", right_later)
    learner, _ = make_learner(replace(CONFIG, batch_size=16))
    learner.step(batch, 2, to_the_end=False, learning_rate=1e-3)
    assert learner.take_totals()[1] == 0
