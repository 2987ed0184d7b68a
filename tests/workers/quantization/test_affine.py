from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper

from workers.quantization.affine import (
    QParams,
    choose_qparams,
    choose_weight_qparams,
    dequantize,
    fake_quantize,
    quantize,
)
from workers.quantization.scheme import INT7_WEIGHTS, INT8_WEIGHTS, UINT8_ACTIVATIONS, Scheme, weight_scheme

FULL_INT8 = Scheme("int8", "per_tensor", -128, 127, "absmax_over_q_max")


def onnx_quantize(x: Any, scale: Any, zero_point: Any, axis: Any = None) -> Any:
    """The codes of ONNX Runtime's QuantizeLinear."""
    kind = TensorProto.UINT8 if zero_point.dtype == np.uint8 else TensorProto.INT8
    attributes = {} if axis is None else {"axis": axis}
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **attributes)],
        "q",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape)),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, list(scale.shape)),
            helper.make_tensor_value_info("z", kind, list(zero_point.shape)),
        ],
        [helper.make_tensor_value_info("q", kind, list(x.shape))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": x, "s": scale, "z": zero_point})[0]


def awkward_values(rng: Any) -> Any:
    normal = rng.normal(size=200_000) * 3
    ties = np.arange(-600, 600) * 0.05
    special = [0.0, -0.0, 1e-45, -1e-45, 1e-38, 1e30, -1e30, 3.4e38]
    return np.concatenate([normal, ties, special]).astype(np.float32)


@pytest.mark.parametrize(
    ("low", "high"), [(-3.0, 5.0), (0.0, 6.0), (-4.0, 0.0), (-1e-3, 1e-3), (0.1, 0.7), (-12.75, 12.7)]
)
def test_uint8_codes_are_those_of_onnx_runtime_to_the_bit(low: float, high: float) -> None:
    x = awkward_values(np.random.default_rng(0))
    qparams = choose_qparams(low, high, UINT8_ACTIVATIONS)
    expected = onnx_quantize(x, qparams.scale, np.asarray(qparams.zero_point.astype(np.uint8)))
    np.testing.assert_array_equal(quantize(x, qparams), expected)


def test_int8_codes_per_channel_are_those_of_onnx_runtime_to_the_bit() -> None:
    x = np.random.default_rng(1).normal(size=(64, 31, 3)).astype(np.float32)
    scheme = Scheme("int8", "per_axis", -128, 127, "absmax_over_q_max")
    qparams = choose_weight_qparams(x, scheme, axis=1)
    expected = onnx_quantize(x, qparams.scale, qparams.zero_point.astype(np.int8), axis=1)
    np.testing.assert_array_equal(quantize(x, qparams), expected)


def test_a_round_trip_is_that_of_torch_to_the_bit() -> None:
    # torch multiplies by 1/scale, so exact ties may differ by a code; random values do not hit ties
    x = (np.random.default_rng(2).normal(size=100_000) * 3).astype(np.float32)
    qparams = choose_qparams(-4.0, 4.0, UINT8_ACTIVATIONS)
    scale, zero_point = float(qparams.scale), int(qparams.zero_point)
    expected = torch.fake_quantize_per_tensor_affine(torch.from_numpy(x), scale, zero_point, 0, 255).numpy()
    differing = fake_quantize(x, qparams) != expected
    assert differing.sum() <= 2


def test_ties_go_to_the_even_code() -> None:
    qparams = QParams(np.float32(1.0), np.int32(0), FULL_INT8)
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5], np.float32)
    assert quantize(x, qparams).tolist() == [0, 2, 2, 0, -2, -2]


def test_symmetric_scale_is_absmax_over_127() -> None:
    # 2.54 / 127 = 0.02
    qparams = choose_qparams(-2.54, 1.0, INT8_WEIGHTS)
    assert float(qparams.scale) == pytest.approx(0.02)
    assert int(qparams.zero_point) == 0


def test_seven_bit_weights_stay_within_64() -> None:
    w = np.random.default_rng(3).normal(size=(8, 100)).astype(np.float32)
    codes = quantize(w, choose_weight_qparams(w, INT7_WEIGHTS, axis=0))
    assert codes.max() <= 63
    assert codes.min() >= -64


@pytest.mark.parametrize("scheme", [UINT8_ACTIVATIONS, INT8_WEIGHTS, INT7_WEIGHTS])
@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (0.0, 1e-45), (-1e-40, 1e-40)])
def test_an_empty_or_denormal_range_has_a_usable_scale(scheme: Scheme, low: float, high: float) -> None:
    qparams = choose_qparams(low, high, scheme)
    assert float(qparams.scale) == 1.0
    assert fake_quantize(np.zeros(3, np.float32), qparams).tolist() == [0.0, 0.0, 0.0]


def test_a_channel_of_zeros_does_not_disturb_the_others() -> None:
    w = np.array([[0.0, 0.0], [1.0, -2.0]], np.float32)
    qparams = choose_weight_qparams(w, weight_scheme(reduce_range=False, per_channel=True), axis=0)
    np.testing.assert_allclose(fake_quantize(w, qparams), w, atol=2.0 / 127 / 2)
    assert qparams.scale[0] == 1.0


def test_a_constant_range_away_from_zero_is_widened_to_it() -> None:
    qparams = choose_qparams(3.0, 3.0, UINT8_ACTIVATIONS)
    assert int(qparams.zero_point) == 0
    assert fake_quantize(np.float32([0.0, 3.0]), qparams).tolist() == pytest.approx([0.0, 3.0])


def test_outliers_are_clamped_and_not_wrapped() -> None:
    qparams = choose_qparams(-1.0, 1.0, UINT8_ACTIVATIONS)
    assert quantize(np.float32([-1e38, 1e38]), qparams).tolist() == [0, 255]


def test_views_and_halves_are_quantized_like_their_copies() -> None:
    x = np.random.default_rng(4).normal(size=(7, 9)).astype(np.float32)
    qparams = choose_qparams(-3.0, 3.0, UINT8_ACTIVATIONS)
    np.testing.assert_array_equal(quantize(x.T[::2], qparams), quantize(np.ascontiguousarray(x.T[::2]), qparams))
    half = x.astype(np.float16)
    np.testing.assert_array_equal(quantize(half, qparams), quantize(half.astype(np.float32), qparams))


@given(
    x=hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-1e6, 1e6, width=32)),
    scheme=st.sampled_from([UINT8_ACTIVATIONS, INT8_WEIGHTS]),
)
def test_a_value_inside_the_range_moves_by_no_more_than_one_scale(x: Any, scheme: Scheme) -> None:
    qparams = choose_qparams(x.min(), x.max(), scheme)
    bound = float(qparams.scale) * (0.5 if scheme.symmetric else 1.0) * 1.0001 if qparams.scale != 1.0 else 1.0
    assert np.abs(dequantize(quantize(x, qparams), qparams) - x).max() <= bound
