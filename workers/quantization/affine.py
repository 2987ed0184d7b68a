"""Affine quantization: the one place where a real number becomes an integer and back.

    q = clamp(round_half_even(x / scale) + zero_point, q_min, q_max)
    x' = (q - zero_point) * scale

All arithmetic is float32, which makes the codes equal, bit for bit, to those of ONNX QuantizeLinear.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.quantization.scheme import Scheme

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int8] | npt.NDArray[np.uint8]

# A range narrower than this has no scale of its own: dividing by a denormal loses digits or overflows. Its values all
# become the code of zero, at an error below 2^-100.
_NARROWEST_SCALE = np.float32(2.0**-100)
_SCALE_OF_ZEROS = np.float32(1.0)


@dataclass(frozen=True)
class QParams:
    """Scale and zero point: arrays of no dimension for a tensor, of one for an axis.

    scale: float32, > 0. zero_point: int32, within the scheme's q_min..q_max.
    """

    scale: FloatArray
    zero_point: npt.NDArray[np.int32]
    scheme: Scheme
    axis: int | None = None


def choose_qparams(low: npt.ArrayLike, high: npt.ArrayLike, scheme: Scheme, *, axis: int | None = None) -> QParams:
    """The scale and zero point for values of the range low..high.

    Shapes: low and high are scalars, or [channels] together with `axis`. The range is widened to contain zero, because
    zero must have a code: padding and Relu produce it. An empty or denormal range gets scale 1.
    Error bound: a value inside the range moves by at most scale / 2; at the very ends of an asymmetric range by at most
    scale, since the zero point is rounded too.
    """
    bottom = np.minimum(np.asarray(low, np.float64), 0.0)
    top = np.maximum(np.asarray(high, np.float64), 0.0)
    if scheme.scale_rule == "absmax_over_q_max":
        scale = _safe_scale(np.maximum(-bottom, top) / scheme.q_max)
        return QParams(scale, np.zeros_like(scale, np.int32), scheme, axis)
    scale = _safe_scale((top - bottom) / (scheme.q_max - scheme.q_min))
    zero_point = np.clip(np.rint(scheme.q_min - bottom / scale), scheme.q_min, scheme.q_max)
    # numpy turns arrays of no dimension into scalars on the way
    return QParams(scale, np.asarray(zero_point, np.int32), scheme, axis)


def choose_weight_qparams(weight: FloatArray, scheme: Scheme, *, axis: int) -> QParams:
    """The qparams of a weight from its own extremes, one scale per index of `axis` or one for the tensor."""
    if scheme.granularity == "per_tensor":
        return choose_qparams(weight.min(initial=0.0), weight.max(initial=0.0), scheme)
    others = tuple(d for d in range(weight.ndim) if d != axis)
    # [out, in, ...] -> [out]
    return choose_qparams(weight.min(axis=others, initial=0.0), weight.max(axis=others, initial=0.0), scheme, axis=axis)


def quantize(x: FloatArray, qparams: QParams) -> IntArray:
    """Codes of `x`, same shape, in the scheme's dtype. Equal to ONNX QuantizeLinear where q_min/q_max are full."""
    scale, zero_point = _broadcast(qparams, x.ndim)
    scheme = qparams.scheme
    # half to even, and in float32: a double would round some ties the other way
    with np.errstate(over="ignore"):  # infinity is clamped like any other outlier
        steps = np.rint(x.astype(np.float32, copy=False) / scale)
    # clamp before adding, in floats: the quotient of an outlier may not fit an int32
    codes = np.clip(steps, scheme.q_min - zero_point, scheme.q_max - zero_point) + zero_point
    return codes.astype(scheme.dtype)  # type: ignore[no-any-return]  # numpy types a dtype given by name as Any


def dequantize(codes: IntArray, qparams: QParams) -> FloatArray:
    """The reals that codes stand for, float32."""
    scale, zero_point = _broadcast(qparams, codes.ndim)
    return (codes.astype(np.float32) - zero_point.astype(np.float32)) * scale


def fake_quantize(x: FloatArray, qparams: QParams) -> FloatArray:
    """What is left of `x` after a round trip through its codes."""
    return dequantize(quantize(x, qparams), qparams)


def _safe_scale(scale: npt.NDArray[np.float64]) -> FloatArray:
    single = np.asarray(scale, np.float32)
    return np.where(single < _NARROWEST_SCALE, _SCALE_OF_ZEROS, single)


def _broadcast(qparams: QParams, ndim: int) -> tuple[FloatArray, npt.NDArray[np.int32]]:
    if qparams.axis is None:
        return qparams.scale, qparams.zero_point
    shape = [1] * ndim
    shape[qparams.axis] = -1
    return qparams.scale.reshape(shape), qparams.zero_point.reshape(shape)
