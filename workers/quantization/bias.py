"""The bias of an integer convolution: 32-bit codes in the unit of the sum it is added to."""

import numpy as np
import numpy.typing as npt

from workers.quantization.affine import FloatArray, QParams

_REACH = 2.0**30  # half of what int32 holds: the sum of products needs room beside the bias
_RESOLUTION = 2.0**20  # codes of the bias of a channel whose weights are all zero
_NARROWEST = 2.0**-100  # the bias's own scale is a product of two: it must not vanish in float32


def quantize_bias(bias: FloatArray, scale: FloatArray) -> npt.NDArray[np.int32]:
    """round_half_even(bias / scale) as int32; scale = input scale * weight scale, [channels] or a scalar.

    Error bound: scale / 2, given a scale from `weight_scale_for_bias`.
    """
    codes = np.rint(bias.astype(np.float64) / scale.astype(np.float64))
    return np.clip(codes, -_REACH, _REACH).astype(np.int32)


def weight_scale_for_bias(
    qparams: QParams, weight: FloatArray, bias: FloatArray, *, input_scale: FloatArray
) -> QParams:
    """The weight's qparams with scales under which the bias neither overflows 32 bits nor loses its digits.

    A channel of tiny weights and a large bias would overflow: its scale grows until the bias fits. A channel that was
    pruned to zeros has no scale of its own, so it takes one that serves the bias.
    Shapes: weight [.., channels, ..], bias [channels]; the same qparams come back when nothing has to change.
    """
    unit = np.asarray(input_scale, np.float64)
    magnitude = np.abs(bias.astype(np.float64))
    if qparams.axis is None:
        magnitude = np.asarray(magnitude.max(initial=0.0))
        empty = np.asarray(not weight.any())
    else:
        others = tuple(d for d in range(weight.ndim) if d != qparams.axis)
        empty = np.asarray(~weight.any(axis=others))
    scale = np.maximum(qparams.scale.astype(np.float64), magnitude / (unit * _REACH))
    scale = np.where(empty & (magnitude > 0.0), magnitude / (unit * _RESOLUTION), scale)
    scale = np.maximum(scale, _NARROWEST / unit)
    return QParams(scale.astype(np.float32), qparams.zero_point, qparams.scheme, qparams.axis)
