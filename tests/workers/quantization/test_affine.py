from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper

from workers.quantization.affine import (
    NonFiniteValues,
    QParams,
    choose_qparams,
    choose_weight_qparams,
    dequantize,
    fake_quantize,
    quantize,
    scales_without_range,
)
from workers.quantization.groups import GroupSizeDoesNotDivide
from workers.quantization.scheme import (
    INT4_WEIGHTS,
    INT8_WEIGHTS,
    UINT4_WEIGHTS,
    UINT8_ACTIVATIONS,
    Scheme,
    weight_scheme,
)

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


@pytest.mark.parametrize("scheme", [UINT8_ACTIVATIONS, INT8_WEIGHTS])
@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (0.0, 1e-45), (-1e-40, 1e-40)])
def test_an_empty_or_denormal_range_has_a_usable_scale(scheme: Scheme, low: float, high: float) -> None:
    qparams = choose_qparams(low, high, scheme)
    assert float(qparams.scale) == 1.0
    assert fake_quantize(np.zeros(3, np.float32), qparams).tolist() == [0.0, 0.0, 0.0]


def test_a_channel_of_zeros_does_not_disturb_the_others() -> None:
    w = np.array([[0.0, 0.0], [1.0, -2.0]], np.float32)
    qparams = choose_weight_qparams(w, weight_scheme(per_channel=True), axis=0)
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


@settings(deadline=None)  # machines pause
@given(
    x=hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-1e6, 1e6, width=32)),
    scheme=st.sampled_from([UINT8_ACTIVATIONS, INT8_WEIGHTS]),
)
def test_a_value_inside_the_range_moves_by_no_more_than_one_scale(x: Any, scheme: Scheme) -> None:
    qparams = choose_qparams(x.min(), x.max(), scheme)
    bound = float(qparams.scale) * (0.5 if scheme.symmetric else 1.0) * 1.0001 if qparams.scale != 1.0 else 1.0
    assert np.abs(dequantize(quantize(x, qparams), qparams) - x).max() <= bound


def test_an_unsigned_symmetric_scheme_puts_zero_at_128() -> None:
    # 2.54 / (255 - 128) = 0.02; -1.0 / 0.02 + 128 = 78
    qparams = choose_qparams(-1.0, 2.54, Scheme("uint8", "per_tensor", 0, 255, "absmax_over_q_max"))
    assert float(qparams.scale) == pytest.approx(0.02)
    assert quantize(np.float32([0.0, 2.54, -1.0, -9.0]), qparams).tolist() == [128, 255, 78, 0]


def test_half_the_range_spends_every_code_at_half_a_step_of_the_extremes() -> None:
    # 2.55 / 127.5 = 0.02; 2.55 / 0.02 = 127.5, which has no code: 127. 0.7 / 7.5 likewise
    wide = choose_qparams(-2.55, 2.55, Scheme("int8", "per_tensor", -128, 127, "absmax_over_half_range"))
    assert float(wide.scale) == pytest.approx(0.02)
    assert quantize(np.float32([2.55, -2.549, -2.6]), wide).tolist() == [127, -127, -128]
    narrow = choose_qparams(-0.75, 0.75, Scheme("int4", "per_tensor", -8, 7, "absmax_over_half_range"))
    assert float(narrow.scale) == pytest.approx(0.1)
    x = np.linspace(-0.75, 0.75, 1001, dtype=np.float32)
    assert np.abs(fake_quantize(x, narrow) - x).max() == pytest.approx(0.05, rel=1e-5)


def test_half_the_range_is_better_than_absmax_in_four_bits_by_its_step() -> None:
    # both round evenly spread values by up to half a step: 20 log10(7.5 / 7) = 0.60 dB
    x = np.random.default_rng(5).uniform(-1.0, 1.0, size=100_000).astype(np.float32)

    def error(rule: Any) -> Any:
        qparams = choose_qparams(-1.0, 1.0, Scheme("int4", "per_tensor", -8, 7, rule))
        return np.mean((fake_quantize(x, qparams) - x) ** 2)

    gain = 10 * np.log10(error("absmax_over_q_max") / error("absmax_over_half_range"))
    assert gain == pytest.approx(0.60, abs=0.05)


def test_each_group_has_a_scale_from_its_own_extremes() -> None:
    weight = np.array([[1.0, -2.0, 30.0, 4.0], [0.0, 0.0, 0.7, 0.1]], np.float32)
    scheme = Scheme("int8", "per_group", -127, 127, "absmax_over_q_max", group_size=2)
    qparams = choose_weight_qparams(weight, scheme, axis=1)
    np.testing.assert_allclose(qparams.scale, [[2 / 127, 30 / 127], [1.0, 0.7 / 127]], rtol=1e-6)
    assert quantize(weight, qparams).tolist() == [[64, -127, 127, 17], [0, 0, 127, 18]]


def test_a_group_as_long_as_the_axis_is_a_channel() -> None:
    weight = np.random.default_rng(6).normal(size=(5, 32)).astype(np.float32)
    by_group = choose_weight_qparams(weight, INT4_WEIGHTS, axis=1)
    by_channel = choose_weight_qparams(weight, Scheme("int4", "per_axis", -8, 7, "absmax_over_half_range"), axis=0)
    np.testing.assert_array_equal(quantize(weight, by_group), quantize(weight, by_channel))


def test_groups_of_a_view_are_those_of_its_copy() -> None:
    weight = np.random.default_rng(7).normal(size=(64, 6)).astype(np.float32).T
    for scheme in (INT4_WEIGHTS, UINT4_WEIGHTS):
        qparams = choose_weight_qparams(weight, scheme, axis=1)
        copy = np.ascontiguousarray(weight)
        np.testing.assert_array_equal(quantize(weight, qparams), quantize(copy, qparams))
        np.testing.assert_array_equal(fake_quantize(weight, qparams), fake_quantize(copy, qparams))


def test_groups_that_do_not_divide_the_axis_are_refused() -> None:
    with pytest.raises(GroupSizeDoesNotDivide, match="48"):
        choose_weight_qparams(np.zeros((4, 48), np.float32), INT4_WEIGHTS, axis=1)


@pytest.mark.parametrize("scheme", [INT4_WEIGHTS, UINT4_WEIGHTS])
@settings(deadline=None)  # machines pause
@given(x=hnp.arrays(np.float32, (3, 32), elements=st.floats(-1e6, 1e6, width=32)))
def test_four_bits_move_a_value_by_no_more_than_their_scale(x: Any, scheme: Scheme) -> None:
    qparams = choose_weight_qparams(x, scheme, axis=1)
    codes = quantize(x, qparams)
    assert codes.min() >= scheme.q_min
    assert codes.max() <= scheme.q_max
    half = 0.5 if scheme.symmetric else 1.0
    bound = np.where(qparams.scale == 1.0, 1.0, qparams.scale * half * 1.0001)
    assert (np.abs(dequantize(codes, qparams) - x) <= bound).all()


def test_channels_of_zeros_are_told_apart_from_a_scale_that_is_one() -> None:
    weight = np.array([[0.0, 0.0], [127.0, 0.0], [1e-40, 0.0], [1.0, 0.0]], np.float32)
    scheme = weight_scheme(per_channel=True)
    assert choose_weight_qparams(weight, scheme, axis=0).scale[:3].tolist() == [1.0, 1.0, 1.0]
    assert scales_without_range(weight, scheme, axis=0) == [0, 2]
    assert scales_without_range(weight, INT8_WEIGHTS, axis=0) == []
    assert scales_without_range(weight[:1], INT8_WEIGHTS, axis=0) == [0]
    by_group = Scheme("int8", "per_group", -127, 127, "absmax_over_q_max", group_size=1)
    # the second column of four rows, and rows 0 and 2 of the first: positions in [4, 2]
    assert scales_without_range(weight, by_group, axis=1) == [0, 1, 3, 4, 5, 7]


def test_a_constant_tensor_comes_back_as_itself() -> None:
    for constant in (-3.0, 1e-20, 7e20):
        x = np.full(9, constant, np.float32)
        for scheme in (UINT8_ACTIVATIONS, INT8_WEIGHTS):
            qparams = choose_weight_qparams(x, scheme, axis=0)
            np.testing.assert_allclose(fake_quantize(x, qparams), x, rtol=1e-6)


def test_nan_has_no_code() -> None:
    qparams = choose_qparams(-1.0, 1.0, UINT8_ACTIVATIONS)
    with pytest.raises(NonFiniteValues, match="2 of 3"):
        quantize(np.float32([np.nan, 0.0, np.nan]), qparams)


@pytest.mark.parametrize(("low", "high"), [(np.nan, 1.0), (0.0, np.inf), (-np.inf, 0.0), (0.0, np.nan)])
def test_a_range_without_finite_ends_is_refused(low: float, high: float) -> None:
    with pytest.raises(NonFiniteValues):
        choose_qparams(low, high, UINT8_ACTIVATIONS)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_refused(bad: float) -> None:
    weight = np.zeros((2, 32), np.float32)
    weight[1, 3] = bad
    for scheme in (INT8_WEIGHTS, weight_scheme(per_channel=True), INT4_WEIGHTS):
        with pytest.raises(NonFiniteValues):
            choose_weight_qparams(weight, scheme, axis=1)


def test_an_empty_tensor_has_no_codes() -> None:
    empty = np.zeros((0, 3), np.float32)
    assert quantize(empty, choose_weight_qparams(empty, INT8_WEIGHTS, axis=0)).shape == (0, 3)
