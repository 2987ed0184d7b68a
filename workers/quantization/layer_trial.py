"""One layer at a time, quantized and in float, on the same inputs: what its rounding costs, and where it is biased.

The inputs come from the float model, so that a layer is judged for its own error and not for those before it. From the
mean error of each output channel follows bias correction; from the powers, the figures of a layer's report; from both,
which range serves the layers that read a tensor best.

Source of bias correction: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV
2019 (arXiv:1906.04721), section 4.2, in its form with data (appendix D): E[y] - E[y'] is added to the bias.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from workers.quantization.affine import FloatArray, QParams, fake_quantize

DoubleArray = npt.NDArray[np.float64]


@dataclass
class LayerError:
    """Sums over everything that one layer has seen with one range of its input."""

    input_signal: float = 0.0
    input_noise: float = 0.0
    clipped: int = 0
    """Input values outside of the range."""
    values: int = 0
    positions: int = 0
    """Outputs for each channel."""
    output_signal: float = 0.0
    output_noise: float = 0.0
    error_sum: DoubleArray = field(default_factory=lambda: np.zeros(0))
    """Sum of (quantized - float) for each output channel."""

    def observe_input(self, x: FloatArray, rounded: FloatArray, qparams: QParams) -> None:
        self.input_signal += _power(x)
        self.input_noise += _power(rounded - x)
        low, high = representable(qparams)
        self.clipped += int(((x < low) | (x > high)).sum())
        self.values += x.size

    def observe_output(self, y: FloatArray, quantized: FloatArray, *, channel_axis: int) -> None:
        error = quantized - y
        others = tuple(d for d in range(y.ndim) if d != channel_axis % y.ndim)
        self.output_signal += _power(y)
        self.output_noise += _power(error)
        sums = error.sum(axis=others, dtype=np.float64)
        self.error_sum = sums + (self.error_sum if self.error_sum.size else 0.0)
        self.positions += y.size // sums.size

    @property
    def bias(self) -> DoubleArray:
        """Mean error of each output channel: what bias correction subtracts."""
        return self.error_sum / max(self.positions, 1)

    @property
    def corrected_noise(self) -> float:
        """The output's noise once the bias is gone: sum of squares minus positions * mean^2."""
        return max(self.output_noise - self.positions * float(np.square(self.bias).sum()), 0.0)

    @property
    def clip_fraction(self) -> float:
        return self.clipped / max(self.values, 1)


def representable(qparams: QParams) -> tuple[float, float]:
    """The reals that some code is nearest to, for qparams of a whole tensor: half a step beyond the codes' own."""
    scheme, scale, zero_point = qparams.scheme, float(qparams.scale), float(qparams.zero_point)
    return (scheme.q_min - zero_point - 0.5) * scale, (scheme.q_max - zero_point + 0.5) * scale


def rounded_input(x: FloatArray, qparams: QParams) -> FloatArray:
    """What the layer's integer kernel sees of its input."""
    return fake_quantize(x, qparams)


def _power(values: FloatArray) -> float:
    flat = values.reshape(-1)
    return float(np.dot(flat, flat))
