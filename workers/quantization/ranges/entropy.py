"""The clip value whose quantized histogram tells the least lie about the original: NVIDIA's entropy calibration.

For i = levels..bins, with a histogram of |x| in equal bins over 0..max:

    P_i = bins 0..i-1, with everything beyond added to the last
    Q_i = bins 0..i-1 merged into `levels` levels, each spread evenly over those of its bins that are not empty
    KL_i = sum P_i log(P_i / Q_i), both divided by their sums

The clip value is the upper edge of the last bin of the i with the least KL_i.
Source: Migacz, "8-bit Inference with TensorRT", GTC 2017. Where the slides leave a choice: bin k goes to level
floor(k * levels / i), as in NVIDIA's own PyTorch calibrator; where the last bin was empty before it received the
outliers, P has mass that Q has not, and KL_i is infinite; of equal divergences the widest range wins.
"""

import numpy as np

from workers.quantization.observers import FloatBitsObserver
from workers.quantization.ranges.density import Density, DoubleArray, density_of
from workers.quantization.ranges.extremes import Range, min_max_range

BINS = 2048
LEVELS = 128

_NEXT_TO_ZERO = 2.0**-126
"""Smaller magnitudes count as zero, which every scale represents exactly: it can neither gain nor lose."""


def entropy_range(observed: FloatBitsObserver, *, levels: int = LEVELS) -> Range:
    """Both ends clipped at the magnitude that entropy calibration chooses; an end that lies nearer stays where it is.

    levels: codes for magnitudes, 2^(bits - 1) for codes of both signs.
    Zeros do not count: after a Relu they would be half of all values, in one bin of BINS, and the choice would be
    theirs. A crowd at another value, such as the lower end of a Clip, still has that effect.
    Error bound: the threshold is one of BINS; and the equal bins are filled from buckets that are up to 16 of them wide
    at the top (a relative 2^-7), over which a bucket's values are spread evenly: narrower gaps are not seen.
    """
    reach = max(-observed.low, observed.high)
    if reach <= _NEXT_TO_ZERO:
        return min_max_range(observed)
    divergences = entropy_divergences(equal_bins(density_of(observed), reach=reach), levels=levels)
    bins = BINS - int(np.argmin(divergences[::-1]))  # from the end: the widest of equal ones
    low, high = min_max_range(observed)
    return max(low, -reach * bins / BINS), min(high, reach * bins / BINS)


def equal_bins(density: Density, *, reach: float, bins: int = BINS) -> DoubleArray:
    """How many values of |x| lie in each of `bins` equal bins over 0..reach: [bins], fractional, zeros left out."""
    edges = np.linspace(0.0, reach, bins + 1)
    return np.diff(_values_below(edges, density) + _values_below(edges, density.mirrored()))


def entropy_divergences(histogram: DoubleArray, *, levels: int = LEVELS) -> DoubleArray:
    """KL_i in nats, for i = levels..bins: [bins] -> [bins - levels + 1].

    With b_k the counts, T and S_i their sums over all k and over k < i, o_i = T - S_i the outliers, L_l and n_l the sum
    and the number of the non-empty bins of level l, and c = i - 1 the last bin, of the last level m:

        T KL_i = sum b_k log b_k - sum L_l log(L_l / n_l) + S_i log(S_i / T)
                 + (b_c + o_i) log(b_c + o_i) - b_c log b_c + o_i (log(S_i / T) - log(L_m / n_m))

    Running sums of b, b log b and of non-empty bins give all of it without a loop over i.
    """
    candidates = np.arange(levels, len(histogram) + 1)  # i
    mass, entropy = _running(histogram), _running(_times_log(histogram, histogram))
    filled = _running((histogram > 0.0).astype(np.float64))
    # bin k is in level floor(k * levels / i), so level l begins at bin ceil(l * i / levels)
    begins = -(-np.arange(levels + 1) * candidates[:, np.newaxis] // levels)  # [candidates, levels + 1]
    level_mass = np.diff(mass[begins])
    level_log = _log(level_mass / np.maximum(np.diff(filled[begins]), 1.0))
    total, inside, edge = mass[-1], mass[candidates], histogram[candidates - 1]
    outliers, inside_log = total - inside, _log(inside / total)
    clipped = edge + outliers
    divergence = entropy[candidates] - (level_mass * level_log).sum(axis=1) + inside * inside_log
    divergence += _times_log(clipped, clipped) - _times_log(edge, edge) + outliers * (inside_log - level_log[:, -1])
    divergence[(edge == 0.0) & (outliers > 0.0)] = np.inf
    return np.asarray(divergence / total)


def _values_below(edges: DoubleArray, density: Density) -> DoubleArray:
    """How many positive values lie at or below each edge."""
    positive = density.where(density.stops > _NEXT_TO_ZERO)
    corners = np.stack([positive.starts, positive.stops], axis=1).ravel()
    reached = _running(positive.counts)
    return (
        np.interp(edges, corners, np.stack([reached[:-1], reached[1:]], axis=1).ravel()) if len(corners) else 0 * edges
    )


def _running(values: DoubleArray) -> DoubleArray:
    return np.concatenate([[0.0], np.cumsum(values)])


def _log(values: DoubleArray) -> DoubleArray:
    """0 where the value is 0: such a term is multiplied by no mass."""
    return np.log(values, out=np.zeros_like(values), where=values > 0.0)


def _times_log(factor: DoubleArray, values: DoubleArray) -> DoubleArray:
    return factor * _log(values)
