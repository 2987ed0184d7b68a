"""The arithmetic of cross-layer equalization: moving scale from one layer's channels into the next layer's.

    W2 f(W1 x + b1) with f(s x) = s f(x) for every s > 0

stays what it is when row i of W1 and b1 is divided by s_i and column i of W2 is multiplied by s_i.

Weights are seen as [groups, out / groups, in / groups, positions], whatever the operator keeps them in; a depthwise
convolution of c channels is [c, 1, 1, positions].

Source: Nagel, van Baalen, Blankevoort, Welling: "Data-Free Quantization Through Weight Equalization and Bias
Correction" (2019, arXiv:1906.04721), section 4.1. There a range is twice the largest magnitude; the factor cancels.
"""

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]


def output_ranges(weight: DoubleArray, bias: DoubleArray) -> DoubleArray:
    """The largest magnitude among the weights of each output channel and its bias: [g, out/g, in/g, p], [out] -> [out].

    The bias is counted as the weight of one more input, which is always 1. The paper leaves it out, and a channel that
    was pruned to nearly nothing would then have its bias blown up until it sets the scale of all activations.
    """
    return np.asarray(np.maximum(np.abs(weight).max(axis=(2, 3)).reshape(-1), np.abs(bias)))


def input_ranges(weight: DoubleArray, *, repeats: int = 1) -> DoubleArray:
    """The largest magnitude among the weights of each channel that comes in, as `repeats` neighbouring inputs.

    [g, out/g, in/g, p] -> [in / repeats]
    """
    return np.asarray(np.abs(weight).max(axis=(1, 3)).reshape(-1, repeats).max(axis=1))


def equalizing_scales(first: DoubleArray, second: DoubleArray) -> DoubleArray:
    """s_i = sqrt(r1_i r2_i) / r2_i: what makes both ranges sqrt(r1_i r2_i) (equation 11).

    A channel that either layer does not use (a range of zero) keeps its scale: s_i = 1.
    """
    used = (first > 0.0) & (second > 0.0)
    ratio = np.divide(first, second, out=np.ones_like(first), where=used)
    return np.asarray(np.sqrt(ratio))


def divide_outputs(weight: DoubleArray, scales: DoubleArray) -> None:
    """Divide each output channel of a weight by its scale, in place. scales: [out]."""
    weight /= scales.reshape(weight.shape[0], -1, 1, 1)


def multiply_inputs(weight: DoubleArray, scales: DoubleArray, *, repeats: int = 1) -> None:
    """Multiply what each input channel is multiplied by, in place. scales: [in / repeats]."""
    weight *= np.repeat(scales, repeats).reshape(weight.shape[0], 1, -1, 1)
