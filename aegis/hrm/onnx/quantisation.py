"""Quantises an HRM's graphs to int8 weights with fixed scales, so that an answer depends on its own state alone.

Each product's input is rounded to 8 bits by a scale, which is found once, from states that are decided in float32.
Dynamic quantisation would take the scale from the whole batch, so a state's answer would depend on the other states.
Weights have 7 bits: a processor without VNNI adds two products in 16 bits, which can't hold 2 x 255 x 127.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegis.hrm.onnx.graph import EXACT, TABLE
from aegis.hrm.onnx.policy import PatchReader, open_onnxruntime

LARGEST_WEIGHT = 64
"""Largest stored weight: 2 x 255 x 64 fits into 16 bits"""
_LARGEST_INPUT = 255
_RUNTIME_DOMAIN = "com.microsoft"
"""Domain of ONNX Runtime's own integer product, which scales the sums and adds a bias; standard ONNX has none"""

Array = NDArray[Any]
Ranges = dict[str, tuple[float, float]]
"""The least and the greatest number in each product's input, by the input's name"""


def find_ranges(
    graphs: Sequence[Any], sequences: Sequence[list[int]], reader: PatchReader, segments: int
) -> list[Ranges]:
    """Return the ranges of both graphs over token sequences; each sequence is decided alone, with all segments."""
    first, later = (_Observed(graph) for graph in graphs)
    carried = ("base", "thought", "low")
    for sequence in sequences:
        ids, bias = reader.read([sequence])
        base, thought, low = first.run(carried, {"ids": ids, "bias": bias})
        for _ in range(max(segments - 1, 1)):
            feed = {"base": base, "given_thought": thought, "given_low": low, "bias": bias}
            thought, low = later.run(carried[1:], feed)
    return [first.ranges, later.ranges]


def quantise(graph: Any, ranges: Ranges) -> bytes:
    """Return a graph of `build_graphs` with int8 weights in its products, and its table in float16."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    _halve_table(copy.graph)
    _Quantiser(copy.graph, ranges).run()
    copy.opset_import.append(onnx.helper.make_opsetid(_RUNTIME_DOMAIN, 1))
    content: bytes = copy.SerializeToString()
    return content


class _Observed:
    """A graph that records the range of the input of every product that will be stored in int8."""

    def __init__(self, graph: Any) -> None:
        import onnx

        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        self._given = {one.name for one in copy.graph.input}
        sources = {node.input[0] for node in copy.graph.node if _is_stored_product(node, _names_stored(copy.graph))}
        self._sources = sorted(sources - self._given)
        self._given_sources = sorted(sources & self._given)
        known = {one.name for one in copy.graph.output}
        for name in self._sources:
            if name not in known:
                copy.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        self._run = open_onnxruntime(copy.SerializeToString(), threads=1)
        self.ranges: Ranges = {}

    def run(self, names: Sequence[str], feed: dict[str, Array]) -> list[Array]:
        found = self._run([*names, *self._sources], feed)
        for name in self._given_sources:
            self._note(name, feed[name])
        for name, value in zip(self._sources, found[len(names) :], strict=True):
            self._note(name, value)
        return found[: len(names)]

    def _note(self, name: str, value: Array) -> None:
        low, high = self.ranges.get(name, (0.0, 0.0))  # zero is always within, so that it is stored exactly
        self.ranges[name] = min(low, float(value.min())), max(high, float(value.max()))


class _Quantiser:
    """Replaces a graph's float products, and the additions of their biases, with integer products."""

    def __init__(self, graph: Any, ranges: Ranges) -> None:
        self._graph = graph
        self._ranges = ranges
        self._names_stored = _names_stored(graph)
        self._nodes: list[Any] = []
        self._new: dict[str, Array] = {}
        self._rounded: dict[str, tuple[str, str, str]] = {}  # by source: the integers, their scale, their zero point
        self._replaced: set[str] = set()

    def run(self) -> None:
        from onnx import numpy_helper

        weights = {one.name: one for one in self._graph.initializer}
        nodes = list(self._graph.node)
        biases = {node.input[0]: node for node in nodes if node.op_type == "Add" and node.input[1] in weights}
        added = {biases[node.output[0]].output[0] for node in nodes if self._is_stored(node)}
        for node in nodes:
            if self._is_stored(node):
                self._replace(node, numpy_helper.to_array(weights[node.input[1]]), biases[node.output[0]])
            elif node.output[0] not in added:
                self._nodes.append(node)
        kept = [one for one in self._graph.initializer if one.name not in self._replaced]
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(self._nodes)
        self._graph.initializer.extend(kept)
        self._graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in self._new.items())

    def _is_stored(self, node: Any) -> bool:
        return _is_stored_product(node, self._names_stored)

    def _replace(self, node: Any, weight: Array, addition: Any) -> None:
        from onnx import helper

        source, name = node.input
        integers, scale, zero = self._round(source)
        self._new[f"{name}_int8"], self._new[f"{name}_scale"] = to_int8(weight)
        self._new[f"{name}_zero"] = np.zeros(weight.shape[1], dtype=np.int8)
        self._replaced.add(name)
        inputs = [integers, f"{name}_int8", scale, f"{name}_scale", zero, f"{name}_zero", addition.input[1]]
        self._nodes.append(
            helper.make_node(
                "MatMulIntegerToFloat", inputs, list(addition.output), name=node.name, domain=_RUNTIME_DOMAIN
            )
        )

    def _round(self, source: str) -> tuple[str, str, str]:
        from onnx import helper

        if source not in self._rounded:
            low, high = self._ranges[source]
            scale = np.float32((high - low) / _LARGEST_INPUT) or np.float32(1)  # an input that is always zero
            names = (f"{source}_uint8", f"{source}_scale", f"{source}_zero")
            self._new[names[1]] = np.array(scale)
            self._new[names[2]] = np.array(np.clip(np.rint(-low / scale), 0, _LARGEST_INPUT), dtype=np.uint8)
            self._nodes.append(helper.make_node("QuantizeLinear", [source, *names[1:]], [names[0]]))
            self._rounded[source] = names
        return self._rounded[source]


def to_int8(weight: Array) -> tuple[Array, Array]:
    """Return a product's weights (inputs, outputs) as int8, and the scale of each output (outputs,)."""
    largest = np.abs(weight).max(0)
    scale = np.where(largest > 0, largest / LARGEST_WEIGHT, 1).astype(np.float32)
    return np.rint(weight / scale).astype(np.int8), scale


def _names_stored(graph: Any) -> set[str]:
    return {one.name for one in graph.initializer}


def _is_stored_product(node: Any, names_stored: set[str]) -> bool:
    return node.op_type == "MatMul" and node.input[1] in names_stored and not node.name.startswith(EXACT)


def _halve_table(graph: Any) -> None:
    """Store the table in float16, and cast each row that is read to float32."""
    from onnx import TensorProto, helper, numpy_helper

    for constant in graph.initializer:
        if constant.name == TABLE:
            constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float16), TABLE))
    for place, node in enumerate(graph.node):
        if node.op_type == "Gather" and node.input[0] == TABLE:
            rows = node.output[0]
            node.output[0] = f"{rows}_half"
            cast = helper.make_node("Cast", [f"{rows}_half"], [rows], name="Cast_rows", to=TensorProto.FLOAT)
            graph.node.insert(place + 1, cast)
            break
