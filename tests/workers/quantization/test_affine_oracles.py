"""The codes and reals of `affine` beside three other implementations: ONNX Runtime, ONNX's reference, torch."""

from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from workers.quantization.affine import QParams, choose_qparams, choose_weight_qparams, dequantize, quantize
from workers.quantization.scheme import INT4_WEIGHTS, INT8_WEIGHTS, UINT4_WEIGHTS, UINT8_ACTIVATIONS, Scheme

INT8_FULL = Scheme("int8", "per_tensor", -128, 127, "absmax_over_half_range")
INT8_ASYMMETRIC = Scheme("int8", "per_tensor", -128, 127, "range_over_steps")
UINT8_SYMMETRIC = Scheme("uint8", "per_tensor", 0, 255, "absmax_over_q_max")
INT8_AXIS = Scheme("int8", "per_axis", -128, 127, "absmax_over_q_max")
UINT8_AXIS = Scheme("uint8", "per_axis", 0, 255, "range_over_steps")
INT8_GROUPS = Scheme("int8", "per_group", -128, 127, "absmax_over_half_range", group_size=16)
UINT8_GROUPS = Scheme("uint8", "per_group", 0, 255, "range_over_steps", group_size=16)

KINDS = {
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int4": TensorProto.INT4,
    "uint4": TensorProto.UINT4,
}
ELEMENTS = {"int8": np.int8, "uint8": np.uint8, "int4": ml_dtypes.int4, "uint4": ml_dtypes.uint4}


def both_ways(qparams: QParams, *, opset: int) -> Any:
    """QuantizeLinear, then DequantizeLinear; x -> codes as int32, reals. ONNX Runtime returns no 4-bit tensors."""
    scheme = qparams.scheme
    attributes: Any = {} if qparams.axis is None else {"axis": qparams.axis}
    attributes |= {} if scheme.group_size is None else {"block_size": scheme.group_size}
    n = helper.make_node
    nodes = [
        n("QuantizeLinear", ["x", "scale", "zero"], ["q"], **attributes),
        n("DequantizeLinear", ["q", "scale", "zero"], ["reals"], **attributes),
        n("Cast", ["q"], ["codes"], to=TensorProto.INT32),
    ]
    zero = np.asarray(qparams.zero_point).astype(ELEMENTS[scheme.dtype])
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, qparams.scale.shape, qparams.scale.ravel()),
        helper.make_tensor("zero", KINDS[scheme.dtype], zero.shape, zero.ravel().astype(np.int32)),
    ]
    graph = helper.make_graph(
        nodes,
        "both_ways",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [
            helper.make_tensor_value_info("codes", TensorProto.INT32, None),
            helper.make_tensor_value_info("reals", TensorProto.FLOAT, None),
        ],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def onnx_runtime(x: Any, qparams: QParams, *, opset: int = 21) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = both_ways(qparams, opset=opset).SerializeToString()
    return ort.InferenceSession(model, options).run(None, {"x": x})


def onnx_reference(x: Any, qparams: QParams) -> Any:
    return ReferenceEvaluator(both_ways(qparams, opset=21)).run(None, {"x": x})


def values(*shape: int, scale: float) -> Any:
    """Normal values, and in every fourth place a tie: an odd multiple of half the scale, as float32 sees it."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=shape) * scale * 70).astype(np.float32)
    flat = x.reshape(-1)
    odd = rng.integers(-300, 300, size=flat[::4].size) * 2 + 1
    flat[::4] = odd.astype(np.float32) * np.float32(scale / 2)
    return x


@pytest.mark.parametrize("oracle", [partial(onnx_runtime, opset=13), onnx_runtime, onnx_reference])
@pytest.mark.parametrize("scheme", [UINT8_ACTIVATIONS, UINT8_SYMMETRIC, INT8_ASYMMETRIC, INT8_FULL])
@pytest.mark.parametrize(("low", "high"), [(-3.1, 5.7), (-8.0, 7.9375)])
def test_two_million_values_of_a_tensor_have_the_codes_of_onnx(
    oracle: Any, scheme: Scheme, low: float, high: float
) -> None:
    qparams = choose_qparams(low, high, scheme)
    x = values(2_100_000, scale=float(qparams.scale))
    codes, reals = oracle(x, qparams)
    np.testing.assert_array_equal(quantize(x, qparams), codes)
    np.testing.assert_array_equal(dequantize(quantize(x, qparams), qparams), reals)


@pytest.mark.parametrize("oracle", [onnx_runtime, onnx_reference])
@pytest.mark.parametrize("scheme", [INT8_AXIS, UINT8_AXIS])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_two_million_values_by_channel_have_the_codes_of_onnx(oracle: Any, scheme: Scheme, axis: int) -> None:
    x = values(100, 210, 100, scale=0.05)
    qparams = choose_weight_qparams(x / 4, scheme, axis=axis)
    codes, reals = oracle(x, qparams)
    np.testing.assert_array_equal(quantize(x, qparams), codes)
    np.testing.assert_array_equal(dequantize(quantize(x, qparams), qparams), reals)


@pytest.mark.parametrize("oracle", [onnx_runtime, onnx_reference])
@pytest.mark.parametrize("scheme", [INT8_GROUPS, UINT8_GROUPS, INT4_WEIGHTS, UINT4_WEIGHTS])
@pytest.mark.parametrize("axis", [0, -1])
def test_two_million_values_by_group_have_the_codes_of_onnx(oracle: Any, scheme: Scheme, axis: int) -> None:
    x = values(1024, 2080, scale=0.05)
    qparams = choose_weight_qparams(x / 4, scheme, axis=axis)
    codes, reals = oracle(x, qparams)
    np.testing.assert_array_equal(quantize(x, qparams), codes)
    np.testing.assert_array_equal(dequantize(quantize(x, qparams), qparams), reals)


def test_groups_in_the_middle_of_three_axes_have_the_codes_of_onnx() -> None:
    x = values(5, 48, 7, scale=0.05)
    for scheme in (INT8_GROUPS, UINT8_GROUPS):
        qparams = choose_weight_qparams(x, scheme, axis=1)
        assert qparams.scale.shape == (5, 3, 7)
        np.testing.assert_array_equal(quantize(x, qparams), onnx_runtime(x, qparams)[0])


@pytest.mark.parametrize("scheme", [UINT8_ACTIVATIONS, UINT8_SYMMETRIC, INT8_ASYMMETRIC, INT8_FULL])
def test_a_tensor_differs_from_torch_only_where_its_reciprocal_moves_a_tie(scheme: Scheme) -> None:
    # torch rounds x * (1 / scale), we round x / scale: two roundings of 2^-24 apart, which matters only beside a tie
    qparams = choose_qparams(-3.1, 5.7, scheme)
    scale, zero_point = float(qparams.scale), int(qparams.zero_point)
    x = values(2_100_000, scale=scale)
    fake = torch.fake_quantize_per_tensor_affine(torch.from_numpy(x), scale, zero_point, scheme.q_min, scheme.q_max)
    assert_equal_but_for_ties(x, qparams, fake.numpy())


def test_channels_differ_from_torch_only_where_its_reciprocal_moves_a_tie() -> None:
    x = values(1000, 2100, scale=0.05)
    qparams = choose_weight_qparams(x, INT8_AXIS, axis=0)
    tensors = [torch.from_numpy(a) for a in (x, qparams.scale, qparams.zero_point)]
    fake = torch.fake_quantize_per_channel_affine(*tensors, 0, -128, 127)
    assert_equal_but_for_ties(x, qparams, fake.numpy())


def assert_equal_but_for_ties(x: Any, qparams: QParams, theirs: Any) -> None:
    ours = dequantize(quantize(x, qparams), qparams)
    differing = ours != theirs
    scale = np.broadcast_to(qparams.scale.reshape(-1, *[1] * (x.ndim - 1)) if x.ndim > 1 else qparams.scale, x.shape)
    steps = x[differing].astype(np.float64) / scale[differing]
    from_tie = np.abs(steps - np.floor(steps) - 0.5)
    # three roundings of relative size 2^-24 lie between the two quotients
    assert (from_tie <= 3 * 2.0**-24 * np.abs(steps)).all()
    np.testing.assert_allclose(np.abs(ours - theirs)[differing], scale[differing], rtol=1e-4)


def test_infinity_has_the_code_that_onnx_runtime_gives_it() -> None:
    x = np.array([np.inf, -np.inf, 3.4e38, -3.4e38, 0.0], np.float32)
    for scheme in (UINT8_ACTIVATIONS, INT8_ASYMMETRIC, INT8_WEIGHTS):
        qparams = choose_qparams(-1.0, 2.0, scheme)
        expected = np.clip(onnx_runtime(x, qparams)[0], scheme.q_min, scheme.q_max)
        assert quantize(x, qparams).tolist() == expected.tolist()
        assert expected[0] == scheme.q_max
        assert expected[1] == scheme.q_min
