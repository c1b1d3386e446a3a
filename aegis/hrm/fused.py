"""A transformer block as one autograd operation for CPUs; it computes the same numbers as `Block.forward`.

Autograd would record some thirty operations for each block, and write each weight's gradient to new memory before it
adds the gradient. Here the backward pass is written by hand. If the block has a sink, a `GradientSum` computes the
weights' gradients (a third of the arithmetic) later: in place, on whichever thread is free.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache, wraps
from threading import Lock
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

Contributions = tuple[list[Tensor | None], list[Tensor], list[Tensor]]
"""Gradients from one backward pass, in three lists in the parameters' order: each parameter's gradient, or None if it
is a product of two matrices; then these products' left factors (N, A), to be transposed, and right factors (N, B)"""
Bags = tuple[Tensor, Tensor, Tensor]
"""Sums of a table's rows: the rows' ids (N, K), each row's weight or whether it counts (N, K), and the gradient of each
sum (N, D)"""

Function = TypeVar("Function", bound=Callable[..., Any])


def script(function: Function) -> Function:
    """Return the function as TorchScript, compiled at the first call; the function itself if torch can't compile it.

    Two Python threads that call torch's operations one by one exchange Python's lock some hundred times in a step of
    training. TorchScript takes the lock once per call. Torch has deprecated TorchScript, but its successors need a C++
    compiler.
    """

    lock = Lock()

    @cache
    def compiled() -> Callable[..., Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                scripted: Callable[..., Any] = torch.jit.script(function)
            except (AttributeError, RuntimeError):  # this torch has no TorchScript, or not for this Python
                return function
        return scripted

    @wraps(function)
    def call(*arguments: Any) -> Any:
        with lock:
            chosen = compiled()
        return chosen(*arguments)

    return call  # type: ignore[return-value]


class GradientSum:
    """Sums the gradients that backward passes contribute to some parameters, in the order of their turns.

    places: a float32 tensor for each parameter, which receives the sum. The first `add_up` after `clear` overwrites it.
    Turns count from 0 after `clear`. Any thread may call `offer` and `add_up`: the sums are equal to the last bit,
    whichever pass ends first.
    """

    def __init__(self, places: Sequence[Tensor]) -> None:
        self._places = list(places)
        self._waiting: dict[int, list[Contributions]] = {}
        self._turn = 0
        self._filled = False
        self._adding = Lock()

    @property
    def filled(self) -> bool:
        """Whether a contribution was added since `clear`."""
        return self._filled

    def offer(self, turn: int, contributions: list[Contributions]) -> None:
        """Keep the contributions of a backward pass until their turn."""
        self._waiting[turn] = contributions

    def add_up(self) -> None:
        """Add the contributions whose turn has come, unless another thread is adding."""
        # A thread checks again after it releases the lock, so a contribution offered in between is not left behind.
        while self._turn in self._waiting and self._adding.acquire(blocking=False):
            try:
                while self._turn in self._waiting:
                    for contributions in self._waiting.pop(self._turn):
                        _add_up(self._places, *contributions, self._filled)
                        self._filled = True
                    self._turn += 1
            finally:
                self._adding.release()

    def clear(self) -> None:
        """Discard all gradients; the next turn is 0."""
        self._waiting.clear()
        self._turn = 0
        self._filled = False


@script
def _add_up(
    places: list[Tensor], whole: list[Tensor | None], left: list[Tensor], right: list[Tensor], filled: bool
) -> None:
    at = 0  # index of the next product
    for i, place in enumerate(places):
        gradient = whole[i]
        if gradient is None:
            if left[at].dtype == place.dtype:
                if filled:
                    place.addmm_(left[at].t(), right[at])
                else:
                    torch.mm(left[at].t(), right[at], out=place)
                at += 1
                continue
            gradient = left[at].t() @ right[at]
            at += 1
        if filled:
            place.add_(gradient)
        else:
            place.copy_(gradient)


def _split_heads(x: Tensor, parts: int, heads: int) -> Tensor:
    """Rearrange (B, T, parts x heads x size) to a contiguous (parts, B x heads, T, size)."""
    batch, length, width = x.shape
    size = width // parts // heads
    apart = x.view(batch, length, parts, heads, size).permute(2, 0, 3, 1, 4)
    return apart.reshape(parts, batch * heads, length, size)


def _merge_heads(x: Tensor, parts: int, heads: int) -> Tensor:
    """Rearrange (parts, B x heads, T, size) to (B x T, parts x heads x size), the inverse of `_split_heads`."""
    length, size = x.size(-2), x.size(-1)
    apart = x.view(parts, -1, heads, length, size)
    return apart.permute(1, 3, 0, 2, 4).reshape(-1, parts * heads * size)


class SummedRows(torch.autograd.Function):
    """Sums rows of a table (V, D) into (N, D). ids: the rows, (N, K); given: weights, or whether each counts, (N, K).

    `sink` receives the gradient of the sums; autograd would write it once for each row that was read.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, ids: Tensor, given: Tensor, sink: list[Bags]) -> Tensor:
        ctx.save_for_backward(ids, given)
        ctx.sink = sink
        return F.embedding_bag(ids, table, mode="sum", per_sample_weights=given.to(table.dtype))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None, None]:
        ctx.sink.append((*ctx.saved_tensors, gradient))
        return None, None, None, None


class FusedBlock(torch.autograd.Function):
    """`Block.forward` without dropout. x: (B, T, D) float32; bias: (B x heads, 1, T), added to the scores; or None."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, first_only: bool, block: Any, *parameters: Tensor) -> Tensor:
        heads, epsilon = block.attention.heads, block.attention_norm.eps
        result, *saved = _forward(x, bias, first_only, heads, epsilon, list(parameters))
        ctx.save_for_backward(x, *saved)
        ctx.first_only, ctx.block, ctx.parameters = first_only, block, parameters
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved = list(ctx.saved_tensors)
        of_x, whole, left, right = _backward(
            gradient, saved, ctx.first_only, ctx.block.attention.heads, list(ctx.parameters)
        )
        sink: list[Contributions] | None = ctx.block.sink
        if sink is not None:
            sink.append((whole, left, right))
            return (of_x, *[None] * (3 + len(ctx.parameters)))
        products = iter([one.t() @ other for one, other in zip(left, right, strict=True)])
        gradients = [next(products) if one is None else one for one in whole]
        return of_x, None, None, None, *gradients


@script
def _forward(
    x: Tensor, bias: Tensor | None, first_only: bool, heads: int, epsilon: float, parameters: list[Tensor]
) -> list[Tensor]:
    norm_weight, norm_bias, into, into_bias, out, out_bias = parameters[:6]
    norm2_weight, norm2_bias, expand, expand_bias, contract, contract_bias = parameters[6:]
    batch, _, width = x.shape
    kind = into.dtype
    read_from, mean, deviation = torch.native_layer_norm(x, [width], norm_weight, norm_bias, epsilon)
    read_from = read_from.to(kind)
    if first_only:
        given = read_from[:, 0]  # (B, D)
        query = F.linear(given, into[:width], into_bias[:width]).view(batch * heads, 1, -1)
        both = _split_heads(F.linear(read_from, into[width:], into_bias[width:]), 2, heads)
        key, value = both[0], both[1]
    else:
        three = _split_heads(F.linear(read_from, into, into_bias), 3, heads)
        query, key, value = three[0], three[1], three[2]
    scale = float(query.shape[-1]) ** -0.5
    if bias is None:
        scores = torch.bmm(query, key.transpose(1, 2)).mul_(scale)  # (B x heads, T, T)
    else:
        scores = torch.baddbmm(bias, query, key.transpose(1, 2), alpha=scale)
    shares = torch.softmax(scores, -1, dtype=torch.float32).to(kind)
    read = _merge_heads(torch.bmm(shares, value), 1, heads)  # (N, D)
    residual = x[:, 0] if first_only else x.view(-1, width)
    middle = residual + F.linear(read, out, out_bias)  # (N, D)
    widened, mean2, deviation2 = torch.native_layer_norm(middle, [width], norm2_weight, norm2_bias, epsilon)
    widened = widened.to(kind)
    hidden = F.linear(widened, expand, expand_bias)  # (N, 4 D)
    active = F.gelu(hidden)
    result = (middle + F.linear(active, contract, contract_bias)).view(batch, -1, width)
    return [
        result,
        mean,
        deviation,
        read_from,
        query,
        key,
        value,
        shares,
        read,
        middle,
        mean2,
        deviation2,
        widened,
        hidden,
        active,
    ]


@script
def _backward(
    gradient: Tensor, saved: list[Tensor], first_only: bool, heads: int, parameters: list[Tensor]
) -> tuple[Tensor, list[Tensor | None], list[Tensor], list[Tensor]]:
    x, mean, deviation, read_from, query, key, value, shares, read, middle = saved[:10]
    mean2, deviation2, widened, hidden, active = saved[10:]
    norm_weight, norm_bias, into, _into_bias, out, _out_bias = parameters[:6]
    norm2_weight, norm2_bias, expand, _expand_bias, contract, _contract_bias = parameters[6:]
    batch, length, width = x.shape
    kind, shape = into.dtype, [width]
    gradient = gradient.reshape(-1, width)
    of_result = gradient.to(kind)  # (N, D)
    of_hidden = torch.ops.aten.gelu_backward(of_result @ contract, hidden)
    of_middle, of_norm2_weight, of_norm2_bias = torch.ops.aten.native_layer_norm_backward(
        (of_hidden @ expand).float(), middle, shape, mean2, deviation2, norm2_weight, norm2_bias, [True, True, True]
    )
    of_middle += gradient
    of_read = of_middle.to(kind)
    of_heads = _split_heads((of_read @ out).view(batch, -1, width), 1, heads)[0]
    of_scores = torch.ops.aten._softmax_backward_data(
        torch.bmm(of_heads, value.transpose(1, 2)).float(), shares.float(), -1, torch.float32
    ).to(kind)
    of_scores *= float(query.shape[-1]) ** -0.5
    parts = torch.empty([2 if first_only else 3, value.size(0), value.size(1), value.size(2)], dtype=kind)
    torch.bmm(shares.transpose(1, 2), of_heads, out=parts[-1])
    torch.bmm(of_scores.transpose(1, 2), query, out=parts[-2])
    flat = read_from.view(-1, width)
    if first_only:
        of_query = torch.bmm(of_scores, key).view(batch, width)
        merged = _merge_heads(parts, 2, heads)
        of_read_from = (merged @ into[width:]).view(batch, length, width)
        of_read_from[:, 0] += of_query @ into[:width]
    else:
        of_query = merged = torch.bmm(of_scores, key, out=parts[0])
        merged = _merge_heads(parts, 3, heads)  # (N, 3 D)
        of_read_from = merged @ into
    of_x, of_norm_weight, of_norm_bias = torch.ops.aten.native_layer_norm_backward(
        of_read_from.view_as(x).float(), x, shape, mean, deviation, norm_weight, norm_bias, [True, True, True]
    )
    left = [of_read, of_hidden, of_result]
    right = [read, widened, active]
    of_into: Tensor | None = None
    if first_only:
        of_x[:, 0] += of_middle
        of_into = torch.cat([of_query.t() @ flat.view(batch, length, width)[:, 0], merged.t() @ flat])
        of_into_bias = torch.cat([of_query.sum(0), merged.sum(0)])
    else:
        of_x += of_middle.view_as(x)
        left.insert(0, merged)
        right.insert(0, flat)
        of_into_bias = merged.sum(0)
    whole: list[Tensor | None] = [
        of_norm_weight,
        of_norm_bias,
        of_into,
        of_into_bias,
        None,
        of_read.sum(0),
        of_norm2_weight,
        of_norm2_bias,
        None,
        of_hidden.sum(0),
        None,
        of_result.sum(0),
    ]
    return of_x, whole, left, right
