"""Affine quantization: the one place where a real number becomes an integer and back.

    q = clamp(round_half_even(x / scale) + zero_point, q_min, q_max)
    x' = (q - zero_point) * scale

All arithmetic is float32, which makes the codes equal, bit for bit, to those of ONNX QuantizeLinear.
Source: ONNX QuantizeLinear and DequantizeLinear, opset 13 per tensor and axis, opset 21 per group (its `block_size`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.quantization.groups import for_members, split_into_groups
from workers.quantization.scheme import Scheme

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int8] | npt.NDArray[np.uint8]

# A range narrower than this has no scale of its own: dividing by a denormal loses digits or overflows. Its values all
# become the code of zero, at an error below 2^-92: 255 steps.
_NARROWEST_SCALE = np.float32(2.0**-100)
_SCALE_OF_ZEROS = np.float32(1.0)


class NonFiniteValues(ValueError):
    """NaN has no code, and an infinite range has no scale."""


@dataclass(frozen=True)
class QParams:
    """Scale and zero point: arrays of no dimension for a tensor, of one for an axis, of the tensor's rank for groups.

    scale: float32, > 0. zero_point: int32, within the scheme's q_min..q_max.
    """

    scale: FloatArray
    zero_point: npt.NDArray[np.int32]
    scheme: Scheme
    axis: int | None = None
    """The axis of the channels, or the one that groups divide."""


def choose_qparams(low: npt.ArrayLike, high: npt.ArrayLike, scheme: Scheme, *, axis: int | None = None) -> QParams:
    """The scale and zero point for values of the range low..high.

    Shapes: low and high are scalars, or [channels] or [.., groups, ..] together with `axis`. The range is widened to
    contain zero, because zero must have a code: padding and Relu produce it. An empty or denormal range gets scale 1.
    Error bound: a value inside the range moves by at most scale / 2; at the very ends of an asymmetric range by at most
    scale, since the zero point is rounded too.
    Raises NonFiniteValues.
    """
    bottom, top = _with_zero(low, high)
    scale = _safe_scale(_exact_scale(bottom, top, scheme))
    if scheme.symmetric:
        return QParams(scale, np.full_like(scale, scheme.middle, np.int32), scheme, axis)
    zero_point = np.clip(np.rint(scheme.q_min - bottom / scale), scheme.q_min, scheme.q_max)
    # numpy turns arrays of no dimension into scalars on the way
    return QParams(scale, np.asarray(zero_point, np.int32), scheme, axis)


def choose_weight_qparams(weight: FloatArray, scheme: Scheme, *, axis: int) -> QParams:
    """The qparams of a weight from its own extremes.

    `axis` is the axis of the channels for per_axis, the axis that groups divide for per_group, unused for per_tensor.
    Raises NonFiniteValues, GroupSizeDoesNotDivide.
    """
    low, high = _extremes(weight, scheme, axis)
    return choose_qparams(low, high, scheme, axis=None if scheme.granularity == "per_tensor" else axis)


def scales_without_range(weight: FloatArray, scheme: Scheme, *, axis: int) -> list[int]:
    """Which of the weight's scales are the stand-in 1, because the channel or group is all zeros or denormals.

    Positions in the flattened scale: the channel for per_axis, 0 for per_tensor.
    """
    exact = _exact_scale(*_with_zero(*_extremes(weight, scheme, axis)), scheme)
    return [int(i) for i in np.flatnonzero(_too_narrow(exact))]


def quantize(x: FloatArray, qparams: QParams) -> IntArray:
    """Codes of `x`, same shape; 4-bit codes unpacked, one in a byte. Infinity gets the outermost code.

    Equal to ONNX QuantizeLinear where q_min and q_max are the type's own. Raises NonFiniteValues.
    """
    if x.size and np.isnan(x.min()):
        raise NonFiniteValues(f"{np.isnan(x).sum()} of {x.size} values are NaN.")
    grid = _Grid(x, qparams)
    scheme = qparams.scheme
    # half to even, and in float32: a double would round some ties the other way
    with np.errstate(over="ignore"):  # infinity is clamped like any other outlier
        steps: FloatArray = np.asarray(grid.values.astype(np.float32, copy=False) / grid.scale)
    np.rint(steps, out=steps)
    # clamp before adding, in floats: the quotient of an outlier may not fit an int32
    np.clip(steps, scheme.q_min - grid.zero_point, scheme.q_max - grid.zero_point, out=steps)
    steps += grid.zero_point
    return steps.astype(scheme.storage).reshape(x.shape)


def dequantize(codes: IntArray, qparams: QParams) -> FloatArray:
    """The reals that codes stand for, float32: equal to ONNX DequantizeLinear."""
    grid = _Grid(codes, qparams)
    reals: FloatArray = (grid.values.astype(np.float32) - grid.zero_point) * grid.scale
    return reals.reshape(codes.shape)


def fake_quantize(x: FloatArray, qparams: QParams) -> FloatArray:
    """What is left of `x` after a round trip through its codes."""
    return dequantize(quantize(x, qparams), qparams)


class _Grid:
    """Values, scale and zero point in shapes that broadcast; the zero point a float32, exact at any code."""

    values: npt.NDArray[Any]
    scale: FloatArray
    zero_point: FloatArray

    def __init__(self, x: npt.NDArray[Any], qparams: QParams) -> None:
        self.values, self.scale = x, qparams.scale
        self.zero_point = np.asarray(qparams.zero_point, np.float32)
        if qparams.axis is None:
            return
        group_size = qparams.scheme.group_size
        if group_size is not None:
            # [.., length, ..] -> [.., groups, group_size, ..]
            self.values = split_into_groups(x, axis=qparams.axis, group_size=group_size)
            self.scale = for_members(self.scale, axis=qparams.axis)
            self.zero_point = for_members(self.zero_point, axis=qparams.axis)
            return
        shape = [1] * x.ndim
        shape[qparams.axis] = -1
        self.scale, self.zero_point = self.scale.reshape(shape), self.zero_point.reshape(shape)


def _extremes(weight: FloatArray, scheme: Scheme, axis: int) -> tuple[FloatArray, FloatArray]:
    if scheme.granularity == "per_tensor":
        return np.asarray(weight.min(initial=0.0)), np.asarray(weight.max(initial=0.0))
    others: tuple[int, ...] | int
    if scheme.group_size is not None:
        weight = split_into_groups(weight, axis=axis, group_size=scheme.group_size)
        others = axis % (weight.ndim - 1) + 1
    else:
        others = tuple(d for d in range(weight.ndim) if d != axis % weight.ndim)
    # [out, in, ...] -> [out], or [.., groups, group_size, ..] -> [.., groups, ..]
    return weight.min(axis=others, initial=0.0), weight.max(axis=others, initial=0.0)


def _with_zero(low: npt.ArrayLike, high: npt.ArrayLike) -> tuple[DoubleArray, DoubleArray]:
    bottom = np.asarray(np.minimum(np.asarray(low, np.float64), 0.0))
    top = np.asarray(np.maximum(np.asarray(high, np.float64), 0.0))
    if not (np.isfinite(bottom).all() and np.isfinite(top).all()):
        raise NonFiniteValues("The range has a NaN or infinite end: the values hold NaN or infinity.")
    return bottom, top


def _exact_scale(bottom: DoubleArray, top: DoubleArray, scheme: Scheme) -> DoubleArray:
    match scheme.scale_rule:
        case "absmax_over_q_max":
            return np.maximum(-bottom, top) / (scheme.q_max - scheme.middle)
        case "absmax_over_half_range":
            return np.maximum(-bottom, top) / ((scheme.q_max - scheme.q_min) / 2)
        case "range_over_steps":
            return (top - bottom) / (scheme.q_max - scheme.q_min)


def _too_narrow(scale: DoubleArray) -> npt.NDArray[np.bool_]:
    return np.asarray(scale, np.float32) < _NARROWEST_SCALE


def _safe_scale(scale: DoubleArray) -> FloatArray:
    return np.where(_too_narrow(scale), _SCALE_OF_ZEROS, np.asarray(scale, np.float32))
