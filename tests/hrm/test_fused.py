from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from aegis.hrm.fused import GradientSink
from aegis.hrm.layers import Block


@pytest.fixture
def block():
    torch.manual_seed(0)
    return Block(width=32, heads=4, dropout=0.0)


def make_mask(masked):
    """The second state has 5 of 7 positions, the third 2."""
    if not masked:
        return None
    return (torch.arange(7) < torch.tensor([7, 5, 2])[:, None])[:, None, None, :]


def plain(block, x, mask, first_only):
    """The block as autograd sees it, operation by operation."""
    read = block.attention(block.attention_norm(x), mask, first_only)
    x = (x[:, :1] if first_only else x) + read
    return x + block.contract(F.gelu(block.expand(block.feed_forward_norm(x))))


@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_a_fused_block_has_the_answers_and_the_gradients_of_the_plain_one(block, masked, first_only):
    x, mask = torch.randn(3, 7, 32, requires_grad=True), make_mask(masked)
    fused, expected = block(x, mask, first_only), plain(block, x, mask, first_only)
    # float32 has 24 bits; sums of some hundred numbers near 1 in another order differ by some 1e-6.
    torch.testing.assert_close(fused, expected, rtol=1e-5, atol=1e-5)
    given = torch.randn_like(fused)
    inputs = [x, *block.parameters()]
    for one, other in zip(
        torch.autograd.grad(fused, inputs, given), torch.autograd.grad(expected, inputs, given), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("first_only", [False, True])
def test_a_sink_holds_the_sum_of_the_gradients_since_it_was_cleared(block, first_only):
    parameters = list(block.parameters())
    places = [torch.full_like(parameter, 7.0) for parameter in parameters]
    expected = [torch.zeros_like(parameter) for parameter in parameters]
    inputs = [torch.randn(3, 7, 32, requires_grad=True) for _ in range(2)]
    for x in inputs:
        gradients = torch.autograd.grad(plain(block, x, None, first_only).square().sum(), parameters)
        expected = [total + gradient for total, gradient in zip(expected, gradients, strict=True)]
    block.sink = GradientSink(places)
    block(inputs[0], None, first_only).sum().backward()
    block.sink.clear()
    for x in inputs:
        block(x, None, first_only).square().sum().backward()
        block.sink.add_up()
    assert all(parameter.grad is None for parameter in parameters)
    for place, total in zip(places, expected, strict=True):
        torch.testing.assert_close(place, total, rtol=1e-4, atol=1e-3)  # sums of squares: numbers of some hundreds


def test_in_bfloat16_gradients_differ_by_its_rounding_alone(block):
    x = torch.randn(3, 7, 32)
    expected = torch.autograd.grad(plain(block, x, None, False).sum(), block.expand.weight)[0]
    for linear in (block.attention.query_key_value, block.attention.output, block.expand, block.contract):
        linear.to(torch.bfloat16)
    places = [torch.zeros(parameter.shape) for parameter in block.parameters()]
    block.sink = GradientSink(places)
    block(x, None).sum().backward()
    block.sink.add_up()
    found = places[[name for name, _ in block.named_parameters()].index("expand.weight")]
    # bfloat16 has 8 bits: each of the three products on the way is off by up to 1/256 of its size.
    assert (found - expected).norm() < 3 / 256 * expected.norm()


def test_with_dropout_a_block_is_not_fused():
    torch.manual_seed(0)
    block = Block(width=32, heads=4, dropout=0.5).train()
    x = torch.randn(3, 7, 32)
    assert not torch.equal(block(x, None), block(x, None))
