"""SmoothQuant: move the difficulty from the activations, which have outlier channels, to the weights, which have not.

    x W = (x / s) (s W),   s_k = max|x_k|^alpha / max_n|W_kn|^(1 - alpha)    one factor for each input channel k

Source: Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models",
ICML 2023 (arXiv:2211.10438), eq. 3 and 4. Deviation: the paper has one alpha for a model, found by trying; here every
site gets the one with the least predicted noise at its output, from statistics that calibration has gathered anyway:

    noise(s) = sum_k min(step_x^2 / 12, m_k / s_k^2) s_k^2 ||W_k||^2
             + share * sum_k m_k / s_k^2 sum_n min(step_n^2 / 12, s_k^2 W_kn^2)

with m_k = E[x_k^2], the site's one step for activations and one step for each weight column after scaling. A value
that is always smaller than half a step becomes zero, so it cannot lose more than itself: without the two minima the
noise of the weights behind a GELU would be overestimated by up to 17 dB, and alpha would come out too small. `share` is
what the rounding leaves of the weights' noise: 1 for rounding to the nearest, less for GPTQ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]

ALPHAS = (0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
WORTH_DB = 1.0
"""A site is smoothed when its predicted noise falls by this much: the extra multiplication takes time."""

NEAREST_SHARE = 1.0
GPTQ_SHARE = 0.4
"""GPTQ took 3 to 8 dB off the weights' noise in the layers of a text encoder; 4 dB are counted on."""

_ACTIVATION_STEPS = 255
_WEIGHT_STEPS = 127
_UNIFORM = 1.0 / 12.0
"""Variance of a rounding error, in squared steps."""


@dataclass(frozen=True)
class ChannelStatistics:
    """What is known of a tensor's channels, each [K]: extremes and mean square."""

    low: DoubleArray
    high: DoubleArray
    mean_square: DoubleArray

    @property
    def absmax(self) -> DoubleArray:
        return np.maximum(np.abs(self.low), np.abs(self.high))


@dataclass(frozen=True)
class Smoothing:
    """Factors s, [K] float32, all > 0, and how they came about."""

    alpha: float
    factors: npt.NDArray[np.float32]
    gain_db: float
    """Predicted fall of the noise at the outputs of the site's readers."""


def choose_smoothing(
    channels: ChannelStatistics,
    weights: Sequence[npt.NDArray[np.float32]],
    *,
    weight_share: float,
    alphas: Sequence[float] = ALPHAS,
    worth_db: float = WORTH_DB,
) -> Smoothing | None:
    """The best factors for the readers of one tensor, or None when none is worth its multiplication.

    weights: the matrices [K, N] that multiply it.
    """
    joined = np.concatenate([w.astype(np.float64) for w in weights], axis=1)  # [K, sum of N]
    plain = predicted_noise(channels, joined, np.ones(len(joined)), weight_share=weight_share)
    if plain == 0.0:
        return None
    tried = [(alpha, smoothing_factors(channels, joined, alpha=alpha)) for alpha in alphas]
    noises = [predicted_noise(channels, joined, factors, weight_share=weight_share) for _, factors in tried]
    best = int(np.argmin(noises))
    gain = 10.0 * float(np.log10(plain / max(noises[best], np.finfo(np.float64).tiny)))
    alpha, factors = tried[best]
    return Smoothing(alpha, factors.astype(np.float32), gain) if gain >= worth_db else None


def smoothing_factors(channels: ChannelStatistics, weight: DoubleArray, *, alpha: float) -> DoubleArray:
    """The factors of one alpha, scaled to a geometric mean of 1; 1 for a channel never active or never read."""
    reach, strength = channels.absmax, np.abs(weight).max(axis=1, initial=0.0)
    usable = (reach > 0.0) & (strength > 0.0)
    factors = np.ones(len(reach))
    factors[usable] = reach[usable] ** alpha / strength[usable] ** (1.0 - alpha)
    if usable.any():
        factors[usable] /= np.exp(np.log(factors[usable]).mean())
    return factors


def predicted_noise(
    channels: ChannelStatistics, weight: DoubleArray, factors: DoubleArray, *, weight_share: float
) -> float:
    """The formula at the top: summed over all outputs, per position, in squared units of the output."""
    bottom = min(0.0, float((channels.low / factors).min(initial=0.0)))
    top = max(0.0, float((channels.high / factors).max(initial=0.0)))
    step = (top - bottom) / _ACTIVATION_STEPS
    power = channels.mean_square / factors**2
    squared = np.square(weight * factors[:, np.newaxis])
    of_activations = np.minimum(step**2 * _UNIFORM, power) @ squared.sum(axis=1)
    steps_squared = squared.max(axis=0, initial=0.0) / _WEIGHT_STEPS**2
    of_weights = power @ np.minimum(steps_squared * _UNIFORM, squared).sum(axis=1)
    return float(of_activations + weight_share * of_weights)
