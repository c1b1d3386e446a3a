from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from aegis.config import HRMConfig
from aegis.hrm import HRM, PARAMETERS, ngram_ids, pad, part_parameters, token_outputs

CONFIG = HRMConfig(
    vocab_size=300,
    max_positions=32,
    high_width=16,
    high_layers=2,
    high_heads=2,
    low_width=8,
    low_layers=1,
    low_heads=2,
    high_cycles=2,
    low_cycles=2,
    patch_length=1,
    halt_threshold=0.5,
    max_segments=4,
    dropout=0.0,
)
ACTIONS = token_outputs([[7], [8, 9], [10], [11]])


def make_model(**fields: Any) -> HRM:
    torch.manual_seed(0)
    return HRM(replace(CONFIG, **fields)).eval()


def random_ids(*lengths: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(20, 300, (length,), generator=generator).tolist() for length in lengths]


def test_the_model_has_29138898_parameters_in_the_parts_of_the_design():
    with torch.device("meta"):
        model = HRM()
    assert part_parameters(model) == {
        "token embedding": 12_865_792,
        "position embedding": 524_288,
        "high level": 2_369_280,
        "high-level output LayerNorm": 512,
        "low level": 396_544,
        "low-level output LayerNorm": 256,
        "high-to-low projection": 32_896,
        "low-to-high projection": 33_024,
        "halting unit": 257,
        "output projection": 12_916_049,
    }
    assert sum(part_parameters(model).values()) == model.parameter_count == PARAMETERS == 29_138_898
    assert sum(p.numel() for p in model.high_level.blocks[0].parameters()) == 789_760
    assert sum(p.numel() for p in model.low_level.blocks[0].parameters()) == 198_272
    assert model.token_embedding.weight.shape == (50257, 256)
    assert model.output.weight is not model.token_embedding.weight


@pytest.mark.parametrize(("high_cycles", "low_cycles"), [(1, 1), (2, 2), (3, 2), (2, 4)])
def test_only_the_last_low_and_high_update_of_a_segment_have_a_gradient(high_cycles, low_cycles):
    model = make_model(high_cycles=high_cycles, low_cycles=low_cycles)
    updates = []
    model.low_level.norm.register_forward_hook(lambda *_: updates.append(("low", torch.is_grad_enabled())))
    model.high_level.norm.register_forward_hook(lambda *_: updates.append(("high", torch.is_grad_enabled())))
    model(torch.tensor(random_ids(5)), None, ACTIONS)
    assert [name for name, _ in updates] == (["low"] * low_cycles + ["high"]) * high_cycles
    assert [grad for _, grad in updates] == [False] * (len(updates) - 2) + [True, True]


def test_the_whole_last_cycle_has_a_gradient_if_the_configuration_asks_for_it():
    model = make_model(low_cycles=3, whole_cycle_gradient=True)
    updates = []
    model.low_level.norm.register_forward_hook(lambda *_: updates.append(torch.is_grad_enabled()))
    model.high_level.norm.register_forward_hook(lambda *_: updates.append(torch.is_grad_enabled()))
    model(torch.tensor(random_ids(5)), None, ACTIONS)
    assert updates == [False] * 4 + [True] * 4


def test_logits_at_every_position_include_the_logits_of_position_0():
    model = make_model()
    batch = pad(random_ids(3, 6))
    everywhere = model(batch.tokens, batch.mask, ACTIONS, last=True, everywhere=True)
    assert everywhere.logits.shape == (2, 6, 4)
    first = model(batch.tokens, batch.mask, ACTIONS, last=True)
    torch.testing.assert_close(everywhere.logits[:, 0], first.logits)
    # A thousand times the rounding error.
    assert (everywhere.logits[:, 1] - first.logits).abs().max() > 1e-3


def test_each_update_reads_its_own_level_and_the_other_level():
    model = make_model(ngram_length=1)
    seen = []
    for name, level in (("low", model.low_level), ("high", model.high_level)):
        level.blocks[0].register_forward_pre_hook(lambda _, inputs, name=name: seen.append((name, inputs[0])))
        level.norm.register_forward_hook(lambda _, inputs, output: seen.append(("new", output)))
    tokens = torch.tensor(random_ids(5))
    with torch.no_grad():
        model(tokens, None, ACTIONS)
        embedded = (model.token_embedding(tokens) + model.position_embedding.weight[:5]) * 16**0.5
        high, low = model.high_start.expand(1, 5, -1), model.low_start.expand(1, 5, -1)
        for (name, read), (_, new) in zip(seen[::2], seen[1::2], strict=True):
            if name == "low":
                torch.testing.assert_close(read, low + model.high_to_low(high + embedded))
                low = new
            else:
                torch.testing.assert_close(read, high + model.low_to_high(low))
                high = new
    assert [name for name, _ in seen[::2]] == ["low", "low", "high"] * 2


def test_the_one_step_gradient_reaches_every_part_that_decides_and_no_other():
    model = make_model()
    ids = random_ids(6)
    out = model(torch.tensor(ids), None, ACTIONS)
    torch.nn.functional.cross_entropy(out.logits, torch.tensor([1])).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert {name for name, g in gradients.items() if g is None or not g.abs().max() > 1e-9} == {
        "halting.weight",
        "halting.bias",
    }

    def rows(name: str) -> set[int]:
        gradient = gradients[name]
        assert gradient is not None
        return set(gradient.reshape(len(gradient), -1).abs().sum(1).nonzero().flatten().tolist())

    assert rows("output.weight") == rows("output.bias") == {7, 8, 9, 10, 11}
    ngrams = ngram_ids(torch.tensor(ids), model.config.ngram_length, model.config.vocab_size)
    assert rows("token_embedding.weight") == set(ids[0]).union(*(found[0].tolist() for found in ngrams))
    assert rows("position_embedding.weight") == set(range(6))


def test_the_halting_unit_learns_from_its_own_loss():
    model = make_model()
    out = model(torch.tensor(random_ids(6)), None, ACTIONS)
    assert out.halt_logits.shape == (1,)
    torch.nn.functional.binary_cross_entropy_with_logits(out.halt_logits, torch.ones(1)).backward()
    assert model.halting.bias.grad.abs().item() > 0
    assert model.halting.weight.grad.abs().max() > 0
    assert model.output.weight.grad is None


def test_the_carry_is_detached_and_a_second_segment_starts_from_it():
    model = make_model()
    tokens = torch.tensor(random_ids(6))
    first = model(tokens, None, ACTIONS)
    assert first.logits.requires_grad
    assert not first.carry.high.requires_grad
    assert not first.carry.low.requires_grad
    assert first.carry.high.shape == (1, 6, 16)
    assert first.carry.low.shape == (1, 6, 8)
    second = model(tokens, None, ACTIONS, first.carry)
    # A thousand times the rounding error.
    assert (second.logits - first.logits).abs().max() > 1e-3
    again = model(tokens, None, ACTIONS, model.start(1, 6))
    # The same numbers in the same shapes are added in the same order on every processor.
    torch.testing.assert_close(again.logits, first.logits, rtol=0, atol=0)


def test_an_answer_does_not_depend_on_padding_or_other_rows():
    model = make_model()
    ids = random_ids(3, 12, 7, 1)
    batch = pad(ids)
    together = model(batch.tokens, batch.mask, ACTIONS)
    together = model(batch.tokens, batch.mask, ACTIONS, together.carry)
    for row, own in enumerate(ids):
        alone = model(torch.tensor([own]), None, ACTIONS)
        alone = model(torch.tensor([own]), None, ACTIONS, alone.carry)
        # Sums in another order differ by 1e-6. A row that reads padding differs by 1e-3 or more (below).
        torch.testing.assert_close(together.logits[row], alone.logits[0], rtol=0, atol=1e-4)
        torch.testing.assert_close(together.halt_logits[row], alone.halt_logits[0], rtol=0, atol=1e-4)
    without_mask = model(batch.tokens, None, ACTIONS)
    # Without the mask the padding is read; this is a thousand times the rounding error.
    assert (without_mask.logits[0] - model(torch.tensor([ids[0]]), None, ACTIONS).logits[0]).abs().max() > 1e-3


def test_an_answer_from_position_0_alone_equals_the_answer_from_all_positions():
    model = make_model(high_cycles=1)
    batch = pad(random_ids(3, 12, 7))
    carry = model(batch.tokens, batch.mask, ACTIONS).carry
    widths = []
    model.high_level.norm.register_forward_hook(lambda _, inputs, output: widths.append(output.shape[1]))
    answers, gradients = [], []
    for everywhere in (True, False):
        model.zero_grad()
        out = model(batch.tokens, batch.mask, ACTIONS, carry, last=True, everywhere=everywhere)
        logits = out.logits[:, 0] if everywhere else out.logits
        (logits.square().sum() + out.halt_logits.sum()).backward()
        answers.append(torch.cat([logits, out.halt_logits[:, None]], dim=1))
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    assert widths == [12, 1]
    assert out.carry is None
    torch.testing.assert_close(*answers)
    for name, gradient in gradients[0].items():
        # Sums over other shapes differ in the last digits of float32; the gradients are at most some units.
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-5)


def test_the_carry_is_computed_only_for_rows_that_think_on():
    model = make_model(high_cycles=1)
    batch = pad(random_ids(3, 12, 7))
    whole = model(batch.tokens, batch.mask, ACTIONS, everywhere=True).carry
    widths = []
    model.high_level.norm.register_forward_hook(lambda _, inputs, output: widths.append(tuple(output.shape[:2])))
    out = model(batch.tokens, batch.mask, ACTIONS)
    carry = out.finish(torch.tensor([2, 0]))
    assert widths == [(3, 1), (2, 12)]
    torch.testing.assert_close(carry.high, whole.high[[2, 0]])
    torch.testing.assert_close(carry.low, whole.low[[2, 0]])


def test_a_position_is_the_sum_of_its_patch_and_the_first_token_is_alone():
    model = make_model(patch_length=3, ngram_length=2)
    tokens = torch.tensor(random_ids(6))
    (pairs,) = ngram_ids(tokens, 2, CONFIG.vocab_size)
    seen = []
    model.high_to_low.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(tokens, None, ACTIONS)
        each = model.token_embedding(tokens) + model.token_embedding(pairs)
        patches = torch.stack([each[:, 0], each[:, 1:4].sum(1), each[:, 4:].sum(1)], dim=1)
    expected = (patches + model.position_embedding.weight[:3]) * 16**0.5
    torch.testing.assert_close(seen[0], model.high_start + expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_model_in_another_number_format_gives_the_same_answers(dtype):
    model = make_model(patch_length=3, ngram_length=2)
    tokens = torch.tensor(random_ids(7))
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[0, 5:] = False
    expected = model(tokens, mask, ACTIONS).logits
    # bfloat16 has 8 bits, so each of some twenty steps rounds by 0.4%.
    torch.testing.assert_close(model.to(dtype)(tokens, mask, ACTIONS).logits, expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(("tokens", "positions"), [(1, 1), (2, 2), (4, 2), (5, 3), (94, 32)])
def test_patches_of_three_tokens_need_a_third_of_the_positions(tokens, positions):
    carry = make_model(patch_length=3)(torch.tensor(random_ids(tokens)), None, ACTIONS).carry
    assert carry.high.shape == (1, positions, 16)


@pytest.mark.parametrize("patch_length", [2, 3, 5])
def test_an_answer_does_not_depend_on_padding_within_a_patch(patch_length):
    model = make_model(patch_length=patch_length)
    ids = random_ids(3, 12, 7, 1, 2)
    batch = pad(ids)
    together = model(batch.tokens, batch.mask, ACTIONS)
    for row, own in enumerate(ids):
        alone = model(torch.tensor([own]), None, ACTIONS)
        # As in the test of padding above, rounding errors are 1e-6.
        torch.testing.assert_close(together.logits[row], alone.logits[0], rtol=0, atol=1e-4)


def test_sparse_gradients_equal_dense_gradients():
    whole, sparse = make_model(patch_length=3), make_model(patch_length=3)
    sparse.sparse_gradients = True
    batch = pad(random_ids(3, 12, 7))
    for model in (whole, sparse):
        model(batch.tokens, batch.mask, ACTIONS).logits.square().sum().backward()
    assert sparse.token_embedding.weight.grad.is_sparse
    assert sparse.output.weight.grad.is_sparse
    for name, parameter in whole.named_parameters():
        if parameter.grad is not None:
            other = dict(sparse.named_parameters())[name].grad.to_dense()
            torch.testing.assert_close(other, parameter.grad)


def test_the_order_of_the_tokens_matters():
    model = make_model()
    ids = random_ids(6)[0]
    logits = [model(torch.tensor([order]), None, ACTIONS).logits for order in (ids, [ids[0], *ids[:0:-1]])]
    # A hundred times the rounding error.
    assert (logits[0] - logits[1]).abs().max() > 1e-4


def test_the_wanted_logits_alone_equal_the_logits_of_the_whole_projection():
    model = make_model()
    projected = []
    model.output.register_forward_hook(lambda *_: projected.append(True))
    high = []
    model.high_level.norm.register_forward_hook(lambda _, inputs, output: high.append(output))
    out = model(torch.tensor(random_ids(6, 6)), None, ACTIONS)
    assert out.logits.shape == (2, 4)
    assert not projected
    whole = torch.nn.functional.linear(high[-1][:, 0], model.output.weight, model.output.bias)
    mean = torch.stack([whole[:, 7], whole[:, [8, 9]].mean(1), whole[:, 10], whole[:, 11]], dim=1)
    torch.testing.assert_close(out.logits, mean)


def test_input_longer_than_the_positions_is_refused():
    model = make_model()
    model(torch.tensor(random_ids(32)), None, ACTIONS)
    with pytest.raises(ValueError, match="33 positions: the model has 32"):
        model(torch.tensor(random_ids(33)), None, ACTIONS)


def spread_halting(model: HRM, tokens: torch.Tensor, mask: torch.Tensor | None) -> None:
    """Set the halting unit so that rows halt after different numbers of segments."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        model.halting.weight.copy_(torch.randn(1, model.config.high_width, generator=generator))
        model.halting.bias.zero_()
        logits, carry = [], None
        for _ in range(model.config.max_segments):
            out = model(tokens, mask, ACTIONS, carry)
            carry = out.carry
            logits.append(out.halt_logits)
        first = torch.stack(logits)[0]
        model.halting.bias.copy_(-(first.max() + first.sort().values[-2]) / 2)  # exactly one row halts at once


def test_the_halting_unit_ends_thinking_row_by_row():
    model = make_model()
    ids = random_ids(4, 9, 6, 12, 5)
    batch = pad(ids)
    spread_halting(model, batch.tokens, batch.mask)
    logits, segments = model.think(batch.tokens, batch.mask, ACTIONS)
    assert (segments == 1).sum() == 1
    assert segments.max() > 1
    for row, own in enumerate(ids):
        alone, used = model.think(torch.tensor([own]), None, ACTIONS)
        assert used.item() == segments[row].item()
        # As in the test of padding above, rounding errors are 1e-6, and more over several segments.
        torch.testing.assert_close(logits[row], alone[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("bias", "segments"), [(-30.0, 4), (30.0, 1)])
def test_thinking_takes_all_segments_if_the_unit_never_halts_and_one_if_it_always_does(bias, segments):
    model = make_model()
    torch.nn.init.constant_(model.halting.bias, bias)
    batch = pad(random_ids(4, 9))
    logits, used = model.think(batch.tokens, batch.mask, ACTIONS)
    assert used.tolist() == [segments] * 2
    carry = None
    for _ in range(segments):
        out = model(batch.tokens, batch.mask, ACTIONS, carry)
        carry = out.carry
    torch.testing.assert_close(logits, out.logits.detach())


def test_the_halting_threshold_is_a_probability():
    ids = torch.tensor(random_ids(5))
    for threshold, segments in ((0.2, 1), (0.3, 4)):
        model = make_model(halt_threshold=threshold)
        torch.nn.init.constant_(model.halting.bias, torch.logit(torch.tensor(0.25)).item())
        assert model.think(ids, None, ACTIONS)[1].tolist() == [segments]


def test_thinking_keeps_no_gradient():
    logits, _ = make_model().think(torch.tensor(random_ids(5)), None, ACTIONS)
    assert not logits.requires_grad


def test_dropout_is_active_only_in_training():
    model = make_model(dropout=0.5)
    ids = torch.tensor(random_ids(5))
    assert torch.equal(model(ids, None, ACTIONS).logits, model(ids, None, ACTIONS).logits)
    model.train()
    assert not torch.equal(model(ids, None, ACTIONS).logits, model(ids, None, ACTIONS).logits)
