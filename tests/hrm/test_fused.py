from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from aegis.hrm import fused
from aegis.hrm.fused import Bags, GradientSum, SummedRows, script
from aegis.hrm.layers import Block


@pytest.fixture
def block():
    torch.manual_seed(0)
    return Block(width=32, heads=4, dropout=0.0)


def make_mask(masked):
    """Return a mask for three states of 7, 5 and 2 positions."""
    if not masked:
        return None
    return (torch.arange(7) < torch.tensor([7, 5, 2])[:, None])[:, None, None, :]


def plain(block, x, mask, first_only):
    """Compute the block operation by operation, as autograd does."""
    read = block.attention(block.attention_norm(x), mask, first_only)
    x = (x[:, :1] if first_only else x) + read
    return x + block.contract(F.gelu(block.expand(block.feed_forward_norm(x))))


@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_a_fused_block_has_the_answers_and_gradients_of_the_plain_block(block, masked, first_only):
    x, mask = torch.randn(3, 7, 32, requires_grad=True), make_mask(masked)
    fused, expected = block(x, mask, first_only), plain(block, x, mask, first_only)
    # float32 has 24 bits; sums of some hundred numbers near 1 differ by some 1e-6 in another order.
    torch.testing.assert_close(fused, expected, rtol=1e-5, atol=1e-5)
    given = torch.randn_like(fused)
    inputs = [x, *block.parameters()]
    for one, other in zip(
        torch.autograd.grad(fused, inputs, given), torch.autograd.grad(expected, inputs, given), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def add_up(block, gradients, turn):
    """Hand over the contributions in the block's sink as the pass of this turn."""
    gradients.offer(turn, block.sink.copy())
    block.sink.clear()
    gradients.add_up()


@pytest.mark.parametrize("first_only", [False, True])
def test_gradients_since_the_last_clear_are_summed_in_the_order_of_their_turns(block, first_only):
    parameters = list(block.parameters())
    places = [torch.full_like(parameter, 7.0) for parameter in parameters]
    expected = [torch.zeros_like(parameter) for parameter in parameters]
    inputs = [torch.randn(3, 7, 32, requires_grad=True) for _ in range(2)]
    for x in inputs:
        gradients = torch.autograd.grad(plain(block, x, None, first_only).square().sum(), parameters)
        expected = [total + gradient for total, gradient in zip(expected, gradients, strict=True)]
    total = GradientSum(places)
    block.sink = []
    block(inputs[0], None, first_only).sum().backward()
    add_up(block, total, 0)
    found: list[list[torch.Tensor]] = []
    for turns in ((0, 1), (1, 0)):
        total.clear()
        for turn in turns:
            block(inputs[turn], None, first_only).square().sum().backward()
            add_up(block, total, turn)
        found.append([place.clone() for place in places])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    assert all(parameter.grad is None for parameter in parameters)
    for place, right in zip(places, expected, strict=True):
        torch.testing.assert_close(place, right, rtol=1e-4, atol=1e-3)  # sums of squares are some hundreds


def test_no_gradient_is_lost_when_two_threads_add_up_at_once():
    place = torch.zeros(3)
    gradients = GradientSum([place])
    one = torch.ones(3)

    def offer(turns):
        for turn in turns:
            gradients.offer(turn, [([one], [], [])])
            gradients.add_up()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(offer, (range(0, 2000, 2), range(1, 2000, 2))))
    assert place.tolist() == [2000.0] * 3


def test_summed_rows_equal_an_embedding_bag_and_their_gradient_goes_to_the_sink():
    table = torch.randn(9, 4, requires_grad=True)
    ids, given = torch.tensor([[1, 2, 2], [8, 0, 1]]), torch.tensor([[True, True, True], [False, True, True]])
    sink: list[Bags] = []
    rows = SummedRows.apply(table, ids, given, sink)
    expected = torch.stack([table[1] + 2 * table[2], table[0] + table[1]])
    torch.testing.assert_close(rows, expected)
    (rows * torch.tensor([[1.0], [3.0]])).sum().backward()
    ((seen, counted, gradient),) = sink
    assert table.grad is None
    assert torch.equal(seen, ids)
    assert torch.equal(counted, given)
    assert gradient.tolist() == [[1.0] * 4, [3.0] * 4]


def test_bfloat16_gradients_differ_only_by_rounding(block):
    x = torch.randn(3, 7, 32)
    expected = torch.autograd.grad(plain(block, x, None, False).sum(), block.expand.weight)[0]
    for linear in (block.attention.query_key_value, block.attention.output, block.expand, block.contract):
        linear.to(torch.bfloat16)
    places = [torch.zeros(parameter.shape) for parameter in block.parameters()]
    block.sink = []
    block(x, None).sum().backward()
    add_up(block, GradientSum(places), 0)
    found = places[[name for name, _ in block.named_parameters()].index("expand.weight")]
    # bfloat16 has 8 bits: each of the three products is wrong by up to 1/256 of its size.
    assert (found - expected).norm() < 3 / 256 * expected.norm()


def test_with_dropout_a_block_is_not_fused():
    torch.manual_seed(0)
    block = Block(width=32, heads=4, dropout=0.5).train()
    x = torch.randn(3, 7, 32)
    assert not torch.equal(block(x, None), block(x, None))


def double(x: Tensor) -> Tensor:
    return x * 2


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@pytest.mark.parametrize("function", [fused._forward, fused._backward, fused._add_up])
def test_each_function_that_runs_as_torchscript_compiles(function):
    assert isinstance(torch.jit.script(function.__wrapped__), torch.jit.ScriptFunction)


def test_a_scripted_function_returns_the_functions_result():
    assert script(double)(torch.ones(2)).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("error", [RuntimeError, AttributeError])
def test_without_torchscript_the_function_itself_runs(monkeypatch, error):
    def refuse(function):
        raise error("no TorchScript")

    monkeypatch.setattr(torch.jit, "script", refuse)
    assert script(double)(torch.ones(2)).tolist() == [2.0, 2.0]
