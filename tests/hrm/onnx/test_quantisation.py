from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from aegis.hrm.onnx.graph import EXACT, OPSET
from aegis.hrm.onnx.policy import open_onnxruntime
from aegis.hrm.onnx.quantisation import LARGEST_WEIGHT, quantise, to_int8


def make_graph(weight: np.ndarray, bias: np.ndarray, name: str = "MatMul_0"):
    """Return a graph of one product and its bias, in the form of an HRM's graphs."""
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["product"], name=name),
        helper.make_node("Add", ["product", "bias"], ["y"], name="Add_1"),
    ]
    shapes = {"x": ("rows", weight.shape[0]), "y": ("rows", weight.shape[1])}
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    constants = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")]
    graph = helper.make_graph(nodes, "product", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def compute(content: bytes, x: np.ndarray) -> np.ndarray:
    return open_onnxruntime(content, threads=1)(["y"], {"x": x})[0]


@pytest.mark.parametrize("rows", [1, 2, 33])
def test_the_largest_products_add_up_without_saturating_on_this_processor(rows):
    # Every product is 255 x 64 or its negative. With larger weights, a sum of two would saturate 16 bits here.
    weight = np.ones((256, 48), dtype=np.float32)
    weight[:, 1] = -1
    x = np.ones((rows, 256), dtype=np.float32)
    found = compute(quantise(make_graph(weight, np.zeros(48, np.float32)), {"x": (0.0, 1.0)}), x)
    # A sum of 256 is exact in integers; the two scales round in the seventh digit.
    assert np.abs(found - x @ weight).max() < 1e-3


@pytest.mark.parametrize("rows", [1, 5, 64])
def test_a_product_equals_the_product_of_its_integers_whatever_the_other_rows_are(rows):
    rng = np.random.default_rng(rows)
    weight = rng.normal(size=(96, 40)).astype(np.float32)
    bias = rng.normal(size=40).astype(np.float32)
    x = rng.normal(size=(rows, 96)).astype(np.float32)
    content = quantise(make_graph(weight, bias), {"x": (-3.0, 4.0)})
    step = np.float32(7 / 255)
    zero = np.rint(np.float32(3) / step)
    integers = np.clip(np.rint(x / step) + zero, 0, 255) - zero
    whole, scale = to_int8(weight)
    wanted = (integers.astype(np.int64) @ whole.astype(np.int64)) * (step * scale) + bias
    found = compute(content, x)
    # The integers are equal; only the last digits of float32 differ (the sums are some tens).
    assert np.abs(found - wanted).max() < 1e-4
    giant = np.concatenate([x, np.full((1, 96), 1e4, np.float32)])
    assert np.array_equal(compute(content, giant)[:-1], found)


def test_the_weights_of_each_output_use_the_whole_range():
    weight = np.array([[1.0, 0.0, 100.0], [-2.0, 0.0, 50.0], [0.5, 0.0, 0.0]], dtype=np.float32)
    whole, scale = to_int8(weight)
    assert np.abs(whole).max(0).tolist() == [LARGEST_WEIGHT, 0, LARGEST_WEIGHT]
    # Rounding errors are at most half a step; float32 adds its last digit.
    assert (np.abs(whole * scale - weight) <= 0.5001 * scale).all()


def test_a_product_marked_exact_stays_in_float32():
    weight = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    x = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
    found = compute(quantise(make_graph(weight, np.zeros(3, np.float32), f"{EXACT}0"), {}), x)
    assert np.allclose(found, x @ weight, atol=1e-5)  # int8 would be off by a hundredth


def test_an_input_that_was_always_zero_causes_no_division_by_zero():
    bias = np.array([1.0, -2.0], dtype=np.float32)
    found = compute(quantise(make_graph(np.ones((4, 2), np.float32), bias), {"x": (0.0, 0.0)}), np.zeros((1, 4), "f"))
    assert found.tolist() == [[1.0, -2.0]]
