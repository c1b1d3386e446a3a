from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any, cast

import pytest
import torch

from aegis.config import HRMConfig, TrainingConfig
from aegis.errors import CheckpointError
from aegis.hrm import HRM, token_outputs
from aegis.training.optimizer import HRMOptimizer

SMALL = HRMConfig(
    vocab_size=300,
    max_positions=32,
    high_width=16,
    high_layers=1,
    high_heads=2,
    low_width=8,
    low_layers=1,
    low_heads=2,
    ngram_length=1,
)
OUTPUTS = token_outputs([[7], [250, 251], [9]])
TOKENS = torch.tensor([[299, 20, 30, 20, 41], [299, 5, 30, 200, 7]])


def make_model() -> HRM:
    torch.manual_seed(0)
    return HRM(SMALL)


def learn(model: HRM, optimizer: HRMOptimizer, steps: int = 3, rate: float = 1e-2) -> None:
    for _ in range(steps):
        out = model(TOKENS, None, OUTPUTS)
        (torch.nn.functional.cross_entropy(out.logits, torch.tensor([0, 1])) + out.halt_logits.sum()).backward()
        optimizer.step(rate)


def moved(before: torch.Tensor, after: torch.Tensor) -> set[int]:
    return set((before != after).reshape(len(before), -1).any(1).nonzero().flatten().tolist())


def test_rows_that_no_step_reads_do_not_change_by_a_bit():
    start, model = make_model(), make_model()
    learn(model, HRMOptimizer(model, TrainingConfig()))
    assert moved(start.token_embedding.weight, model.token_embedding.weight) == set(TOKENS.flatten().tolist())
    assert moved(start.output.weight, model.output.weight) == {7, 9, 250, 251}
    assert moved(start.output.bias, model.output.bias) == {7, 9, 250, 251}


def test_the_token_embedding_and_the_halting_unit_learn_at_multiples_of_the_rate():
    start, model = make_model(), make_model()
    learn(
        model,
        HRMOptimizer(model, TrainingConfig(embedding_rate_factor=7.0, halting_rate_factor=4.0)),
        steps=1,
        rate=1e-3,
    )
    # Adam's first step is the rate in the gradient's direction.
    rates = {"token_embedding.weight": 7e-3, "output.weight": 1e-3, "halting.bias": 4e-3, "low_to_high.bias": 1e-3}
    for name, rate in rates.items():
        step = (model.state_dict()[name] - start.state_dict()[name]).abs().max().item()
        assert step == pytest.approx(rate, rel=1e-3), name


def test_only_the_matrices_of_the_blocks_have_weight_decay():
    model = make_model()
    optimizer = HRMOptimizer(model, TrainingConfig(weight_decay=0.3))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, *others = ({names[id(p)] for p in group._parameters} for group in optimizer._groups)
    assert [group._weight_decay for group in optimizer._groups] == [0.3, 0.0, 0.0, 0.0]
    assert decayed.union(*others) | {"token_embedding.weight", "output.weight"} == set(names.values())
    assert all(".blocks." in name and name.endswith("weight") and "norm" not in name for name in decayed)
    assert len(decayed) == 2 * 4  # one block per level here, four matrices each


@pytest.mark.parametrize("clip", [1e9, 0.5])
def test_steps_equal_those_of_torchs_own_optimizers_with_all_gradients_clipped_together(clip, monkeypatch):
    # SparseAdam adds its epsilon before the correction of the bias. Without epsilon, both treat tiny gradients alike.
    monkeypatch.setattr("aegis.training.adam.EPSILON", 1e-20)
    ours, theirs = make_model(), make_model()
    learn(ours, HRMOptimizer(ours, TrainingConfig(gradient_clip=clip)), steps=4, rate=1e-3)
    theirs.sparse_gradients = True
    tables = [theirs.token_embedding.weight, theirs.output.weight]
    decayed = [p for n, p in theirs.named_parameters() if p.dim() == 2 and ".blocks." in n]
    halting = list(theirs.halting.parameters())
    kept = [p for p in theirs.parameters() if not any(p is other for other in [*tables, *decayed, *halting])]
    config = TrainingConfig()
    dense = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": kept, "weight_decay": 0.0},
            {"params": halting, "weight_decay": 0.0, "lr": 1e-3 * config.halting_rate_factor},
        ],
        lr=1e-3,
        betas=(0.9, 0.95),
        eps=1e-20,
    )
    groups: list[dict[str, Any]] = [
        {"params": tables[:1], "lr": 1e-3 * config.embedding_rate_factor},
        {"params": tables[1:]},
    ]
    rows = torch.optim.SparseAdam(
        groups,
        lr=1e-3,
        betas=(0.9, 0.95),
        eps=1e-20,
    )
    for _ in range(4):
        out = theirs(TOKENS, None, OUTPUTS)
        (torch.nn.functional.cross_entropy(out.logits, torch.tensor([0, 1])) + out.halt_logits.sum()).backward()
        for table in tables:
            table.grad = table.grad.coalesce()
        gradients = [p.grad.values() if p.grad.is_sparse else p.grad for p in theirs.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        for gradient in gradients:
            gradient.mul_((clip / norm).clamp(max=1.0))
        for one in (dense, rows):
            one.step()
            one.zero_grad()
    for name, tensor in ours.state_dict().items():
        if name.endswith("query_key_value.bias"):
            continue  # the keys' gradient is only rounding, which Adam scales up like any other
        torch.testing.assert_close(tensor, theirs.state_dict()[name], rtol=1e-4, atol=2e-5)


def test_in_bfloat16_the_model_computes_with_copies_and_its_weights_stay_float32():
    start, model = make_model(), make_model()
    optimizer = HRMOptimizer(model, TrainingConfig(), bf16=True)
    block = cast(Any, model.high_level.blocks[0])
    assert block.expand.weight.dtype == torch.bfloat16
    assert block.attention_norm.weight.dtype == model.position_embedding.weight.dtype == torch.float32
    assert all(torch.equal(tensor, start.state_dict()[name]) for name, tensor in optimizer.weights().items())
    with torch.autocast("cpu", torch.bfloat16):
        learn(model, optimizer, steps=3, rate=1e-5)  # steps far smaller than bfloat16 can represent
    exact = {name: tensor.clone() for name, tensor in optimizer.weights().items()}
    optimizer.release()
    assert all(tensor.dtype == torch.float32 for tensor in model.state_dict().values())
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in exact.items())
    moved_by = (block.expand.weight - cast(Any, start.high_level.blocks[0]).expand.weight).abs().max().item()
    assert 1e-5 < moved_by < 1e-4


def test_gradients_of_several_backward_passes_add_up():
    whole, parts = make_model(), make_model()
    one, other = HRMOptimizer(whole, TrainingConfig()), HRMOptimizer(parts, TrainingConfig())
    labels = torch.tensor([0, 1])
    torch.nn.functional.cross_entropy(whole(TOKENS, None, OUTPUTS).logits, labels).backward()
    one.collect()
    for row in range(2):
        logits = parts(TOKENS[row : row + 1], None, OUTPUTS).logits
        (torch.nn.functional.cross_entropy(logits, labels[row : row + 1]) / 2).backward()
        other.collect()
    torch.testing.assert_close(one.merge(), other.merge(), rtol=1e-4, atol=1e-6)
    for group, same in zip(one._groups[:-1], other._groups[:-1], strict=True):  # the halting unit was not used
        assert group.gradient.abs().sum() > 0
        torch.testing.assert_close(group.gradient, same.gradient, rtol=1e-4, atol=1e-6)
    for table, other_table in zip(one._tables, other._tables, strict=True):
        assert len(table.gradient)
        torch.testing.assert_close(table.gradient, other_table.gradient, rtol=1e-4, atol=1e-6)


def test_discarded_gradients_change_no_weight():
    start, model = make_model(), make_model()
    optimizer = HRMOptimizer(model, TrainingConfig(weight_decay=0.0))
    model(TOKENS, None, OUTPUTS).logits.sum().backward()
    optimizer.collect()
    optimizer.forget()
    optimizer.collect()
    optimizer.step(1e-2)
    assert all(torch.equal(tensor, start.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_an_optimizer_that_loads_a_state_takes_the_same_steps():
    one, other = make_model(), make_model()
    unbroken = HRMOptimizer(one, TrainingConfig())
    learn(one, unbroken, steps=5)
    before = HRMOptimizer(other, TrainingConfig())
    learn(other, before, steps=2)
    after = HRMOptimizer(other, TrainingConfig())
    after.load(before.tensors())
    learn(other, after, steps=3)
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_the_optimizers_state_holds_only_the_rows_that_changed():
    model = make_model()
    optimizer = HRMOptimizer(model, TrainingConfig())
    learn(model, optimizer)
    shapes = {name: tuple(tensor.shape) for name, tensor in optimizer.tensors().items() if name.startswith("rows.")}
    assert shapes["rows.0.exp_avg"] == shapes["rows.0.exp_avg_sq"] == (len(set(TOKENS.flatten().tolist())), 16)
    assert shapes["rows.1.exp_avg"] == (4, 16)


def test_the_optimizer_refuses_the_state_of_another_model():
    model = make_model()
    optimizer = HRMOptimizer(model, TrainingConfig())
    learn(model, optimizer)
    for other in (HRM(replace(SMALL, high_width=32)), HRM(replace(SMALL, vocab_size=280))):
        with pytest.raises(CheckpointError, match="does not fit the model"):
            HRMOptimizer(other, TrainingConfig()).load(optimizer.tensors())


def test_a_training_imports_no_compiler(tmp_path):
    code = """
import sys
from pathlib import Path
import torch
from aegis.config import HRMConfig, TrainingConfig
from aegis.training import ImitationTrainer
from aegis.types import Action, ActionList, ActionSpec, Decision
names = ("a", "b")
decisions = [Decision(f"e{n}", 0, {"n": n}, names, Action(names[n % 2]), (0.5, 0.5), "teacher") for n in range(8)]
small = HRMConfig(high_width=16, high_layers=1, high_heads=2, low_width=8, low_layers=1, low_heads=2)
actions = ActionList(tuple(ActionSpec(name, name, "do it") for name in names))
torch.set_num_threads(2)  # two replicas of the model learn side by side
ImitationTrainer(actions, TrainingConfig(epochs=1), small).train(decisions[:6], decisions[6:], Path(sys.argv[1]))
assert "torch.optim.adamw" in sys.modules
assert "torch._dynamo" not in sys.modules, "it takes two seconds and 70 MB"
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
