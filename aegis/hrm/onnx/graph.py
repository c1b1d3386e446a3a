"""An HRM as two ONNX graphs: one for its first segment of thinking, one for each later segment.

The graphs compute the same as `HRM.forward`, with less work: everything that is the same for every state is computed
here, once. The input meets the thought only through the projection to the low level, so the graphs hold the projected
embeddings, a table of half the size without a product. The first segment starts from constants. The answer is computed
at position 0 only, and the output projection has only the actions' rows.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from aegis.hrm.layers import Block, Level
from aegis.hrm.model import HRM
from aegis.hrm.outputs import Outputs

OPSET = 20
"""The first opset in which GELU is one operation"""
_IR_VERSION = 10
EXACT = "exact_"
"""Prefix of the products that are never stored in int8: the answer's, those between the levels, and those of the high
level's attention. They are a quarter of the arithmetic and caused most of int8's error."""
TABLE = "table"
"""Name of the constant that holds the embeddings."""

Array = NDArray[Any]


@torch.no_grad()
def build_graphs(model: HRM, outputs: Outputs) -> tuple[Any, Any]:
    """Return the graphs (`onnx.ModelProto`) of the first segment and of a later one.

    The first takes ids (B, P, patch x n-grams), where the table's last row marks an empty place, and bias
    (B, 1, 1, P), which is added to the attention's scores. It returns answers (B, A + 1), which are the actions' logits
    and the halting unit's; summary (B, high width), from which the answers are computed; base (B, P, low width);
    thought (B, P, high width); and low (B, P, low width). The later graph takes base, given_thought, given_low and
    bias, and returns answers, thought and low.
    """
    if model.high_start.device.type != "cpu":
        model, outputs = copy.deepcopy(model).cpu(), outputs.to("cpu")
    return _Builder(model, outputs).first(), _Builder(model, outputs).later()


class _Builder:
    """Collects the nodes and the constants of one graph."""

    def __init__(self, model: HRM, outputs: Outputs) -> None:
        self._model = model
        self._outputs = outputs
        self._nodes: list[Any] = []
        self._constants: dict[str, Array] = {}

    def first(self) -> Any:
        model, config = self._model, self._model.config
        scale = config.high_width**0.5
        into_low = model.high_to_low.weight.T  # (D, d)
        rows = model.token_embedding.weight
        if model.code_slots:  # a code's weighted sum is a row of its own
            coded = F.embedding_bag(model.code_rows, rows, mode="sum", per_sample_weights=model.code_weights)
            rows = torch.cat([rows, coded])
        table = torch.cat([rows @ into_low * scale, torch.zeros(1, config.low_width)])
        # The high level's start and the projection's bias add the same vector at every position.
        places = model.position_embedding.weight @ into_low * scale + model.high_to_low(model.high_start)
        read = self._add("Gather", self._constant(TABLE, table), "ids")
        total = self._add("ReduceSum", read, self._whole("of_patch", [2]), keepdims=0)
        length = self._add("Slice", self._add("Shape", "ids"), self._whole("one", [1]), self._whole("two", [2]))
        placed = self._add("Slice", self._constant("places", places), self._whole("zero", [0]), length, "zero")
        self._add("Add", total, placed, name="base")
        self._segment(None, None)
        return self._finish(
            {"ids": ("int64", ("batch", "positions", config.patch_length * config.ngram_length))} | self._bias(),
            ("answers", "summary", "base", "thought", "low"),
        )

    def later(self) -> Any:
        high = self._level_end(self._model.high_level, "given_thought")
        self._segment(high, "given_low")
        high_width, low_width = self._model.config.high_width, self._model.config.low_width
        shapes = {"base": low_width, "given_thought": high_width, "given_low": low_width}
        inputs = {name: ("float32", ("batch", "positions", width)) for name, width in shapes.items()}
        return self._finish(inputs | self._bias(), ("answers", "thought", "low"))

    def _segment(self, high: str | None, low: str | None) -> None:
        """Add one segment, from a carry or from the start (None): `HRM.forward`, step by step."""
        model, config = self._model, self._model.config
        for cycle in range(config.high_cycles):
            last_cycle = cycle == config.high_cycles - 1
            incoming = "base"
            if high is not None:  # the base includes the projection of the start
                start = -model.high_to_low.weight @ model.high_start
                change = self._matmul(high, model.high_to_low.weight.T, start, exact=True)
                incoming = self._add("Add", "base", change)
            for step in range(config.low_cycles):
                mixed = self._add("Add", incoming, low or self._constant("low_start", model.low_start))
                is_last = last_cycle and step == config.low_cycles - 1
                low = self._level_end(
                    model.low_level, self._level_start(model.low_level, mixed), "low" if is_last else ""
                )
            start = model.low_to_high.bias if high else model.low_to_high.bias + model.high_start
            told = self._matmul(low or "", model.low_to_high.weight.T, start, exact=True)
            mixed = self._add("Add", told, high) if high else told
            thought = self._level_start(model.high_level, mixed, "thought" if last_cycle else "")
            if not last_cycle:
                high = self._level_end(model.high_level, thought)
        summary = self._level_end(model.high_level, "thought", first_only=True)  # (B, 1, D)
        rows, biases = self._outputs.gather(model.output.weight, model.output.bias)
        rows, biases = torch.cat([rows, model.halting.weight]), torch.cat([biases, model.halting.bias])
        answers = self._matmul(summary, rows.T, biases, exact=True)
        self._add("Squeeze", answers, self._whole("one", [1]), name="answers")
        self._add("Squeeze", summary, self._whole("one", [1]), name="summary")

    def _level_start(self, level: Level, x: str, name: str = "") -> str:
        blocks = [block for block in level.blocks[:-1] if isinstance(block, Block)]
        for place, block in enumerate(blocks):
            x = self._block(block, x, name=name if place == len(blocks) - 1 else "")
        return x if blocks or not name else self._add("Identity", x, name=name)

    def _level_end(self, level: Level, x: str, name: str = "", first_only: bool = False) -> str:
        block = level.blocks[-1]
        assert isinstance(block, Block)
        return self._norm(level.norm, self._block(block, x, first_only), name)

    def _block(self, block: Block, x: str, first_only: bool = False, name: str = "") -> str:
        read = self._attention(block, self._norm(block.attention_norm, x), first_only)
        x = self._add("Add", self._position_0(x) if first_only else x, read)
        wide = self._matmul(self._norm(block.feed_forward_norm, x), block.expand.weight.T, block.expand.bias)
        hidden = self._add("Gelu", wide)
        return self._add("Add", x, self._matmul(hidden, block.contract.weight.T, block.contract.bias), name=name)

    def _attention(self, block: Block, x: str, first_only: bool) -> str:
        heads, projection = block.attention.heads, block.attention.query_key_value
        width = projection.in_features
        size = width // heads
        exact = any(block is one for one in self._model.high_level.blocks)
        # Floats add up in another order in a product of one row than of several rows; integers give the same sum.
        whole = exact and not first_only
        factors = torch.cat([torch.full((width,), size**-0.5), torch.ones(2 * width)])  # only the query is scaled
        weight, bias = projection.weight.T * factors, projection.bias * factors
        if first_only:
            query = self._matmul(self._position_0(x), weight[:, :width], bias[:width])
            both = self._matmul(x, weight[:, width:], bias[width:], exact)
            parts = [query, *self._split(both, 2)]
        else:
            parts = self._split(self._matmul(x, weight, bias, exact), 3)
        shape = self._whole(f"heads_{heads}_{size}", [0, 0, heads, size])
        orders = ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
        query, key, value = (
            self._add("Transpose", self._add("Reshape", part, shape), perm=order)
            for part, order in zip(parts, orders, strict=True)
        )
        scores = self._add("Add", self._add("MatMul", query, key), "bias")
        read = self._add("MatMul", self._add("Softmax", scores, axis=-1), value)
        merged = self._add("Transpose", read, perm=[0, 2, 1, 3])
        flat = self._add("Reshape", merged, self._whole(f"width_{width}", [0, 0, width]))
        return self._matmul(flat, block.attention.output.weight.T, block.attention.output.bias, whole)

    def _split(self, x: str, count: int) -> list[str]:
        from onnx import helper

        names = [f"v{len(self._nodes)}_{part}" for part in range(count)]
        self._nodes.append(helper.make_node("Split", [x], names, axis=-1, num_outputs=count))
        return names

    def _position_0(self, x: str) -> str:
        return self._add("Slice", x, self._whole("zero", [0]), self._whole("one", [1]), "one")

    def _norm(self, norm: torch.nn.LayerNorm, x: str, name: str = "") -> str:
        scale, bias = self._constant("", norm.weight), self._constant("", norm.bias)
        return self._add("LayerNormalization", x, scale, bias, axis=-1, epsilon=norm.eps, name=name)

    def _matmul(self, x: str, weight: torch.Tensor, bias: torch.Tensor, exact: bool = False) -> str:
        name = self._constant(f"{EXACT}{len(self._constants)}" if exact else "", weight)
        return self._add("Add", self._add("MatMul", x, name, label=name), self._constant("", bias))

    def _add(self, kind: str, *inputs: str, name: str = "", label: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = name or f"v{len(self._nodes)}"
        label = label if label.startswith(EXACT) else f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=label, **attributes))
        return name

    def _constant(self, name: str, value: torch.Tensor) -> str:
        name = name or f"c{len(self._constants)}"
        self._constants[name] = np.ascontiguousarray(value.detach().float().cpu().numpy())
        return name

    def _whole(self, name: str, value: list[int]) -> str:
        self._constants[name] = np.array(value, dtype=np.int64)
        return name

    def _bias(self) -> dict[str, tuple[str, tuple[Any, ...]]]:
        return {"bias": ("float32", ("batch", 1, 1, "positions"))}

    def _finish(self, inputs: dict[str, tuple[str, tuple[Any, ...]]], outputs: tuple[str, ...]) -> Any:
        from onnx import TensorProto, helper, numpy_helper

        types = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}
        widths: dict[str, tuple[Any, ...]] = {
            "answers": ("batch", len(self._outputs) + 1),
            "summary": ("batch", self._model.config.high_width),
            "base": ("batch", "positions", self._model.config.low_width),
            "thought": ("batch", "positions", self._model.config.high_width),
            "low": ("batch", "positions", self._model.config.low_width),
        }
        graph = helper.make_graph(
            self._nodes,
            "hrm",
            [helper.make_tensor_value_info(name, types[kind], shape) for name, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, widths[name]) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in self._constants.items()],
        )
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="aegis-hrm")
