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

Smoothing makes the channels reach equally far, so that each of them alone sets the range, and new data leaves it
through any. Of n rows and one more, each is the furthest with a chance of 1 / (n + 1): so often does a new row pass a
channel's reach r. By how much, follows from the tail, which beyond r falls about as exp(-(t - r) / b). With it the
noise has one more term, for both ends of a range that reaches to T:

    sum_k 2 b_k^2 exp(-(T - r_k) / b_k) / (n + 1) s_k^2 ||W_k||^2

and the range gets the headroom with which the whole is least: a half and more for some dozens of rows, nothing for
thousands. Where tails fall like that, the largest of n has a Gumbel distribution of scale b, whose standard deviation
is pi / sqrt(6) b. So b / r is the standard deviation of the channels' ln(r / sqrt(m)) times sqrt(6) / pi: it is large
where some channels have met what others have not met yet. It is at least 1 / (2 ln n), that of a normal distribution.
"""

import math
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

HEADROOMS = (*(1.0 + step / 20 for step in range(21)), 2.25, 2.5, 3.0, 3.5, 4.0)
"""From nothing to four times the range, which costs 12 dB."""

_ACTIVATION_STEPS = 255
_WEIGHT_STEPS = 127
_UNIFORM = 1.0 / 12.0
"""Variance of a rounding error, in squared steps."""


@dataclass(frozen=True)
class ChannelStatistics:
    """What is known of a tensor's channels, each [K]: extremes and mean square; and of how many rows."""

    low: DoubleArray
    high: DoubleArray
    mean_square: DoubleArray
    rows: float = math.inf
    """Infinity: so many that nothing new comes."""

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
    headroom: float = 1.0
    """By how much the range should exceed what was seen, as a factor."""


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
    headrooms = HEADROOMS if math.isfinite(channels.rows) else (1.0,)
    tried: dict[tuple[float, float], float] = {}
    for alpha in alphas:
        factors = smoothing_factors(channels, joined, alpha=alpha)
        expected = _Expected.of(channels, joined, factors)
        tried |= {(alpha, headroom): expected.noise(weight_share, headroom) for headroom in headrooms}
    alpha, headroom = min(tried, key=lambda pair: tried[pair])
    gain = 10.0 * float(np.log10(plain / max(tried[alpha, headroom], np.finfo(np.float64).tiny)))
    factors = smoothing_factors(channels, joined, alpha=alpha)
    return Smoothing(alpha, factors.astype(np.float32), gain, headroom) if gain >= worth_db else None


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
    channels: ChannelStatistics,
    weight: DoubleArray,
    factors: DoubleArray,
    *,
    weight_share: float,
    headroom: float = 1.0,
) -> float:
    """The formulas at the top: summed over all outputs, per position, in squared units of the output."""
    return _Expected.of(channels, weight, factors).noise(weight_share, headroom)


@dataclass(frozen=True)
class _Expected:
    """What the noise of one set of factors follows from, for any headroom. Arrays are [K]."""

    low: DoubleArray
    """How far below zero each channel was seen, after smoothing; and how far above."""
    high: DoubleArray
    power: DoubleArray
    strength: DoubleArray
    """Squared length of each channel's weights."""
    of_weights: float
    rows: float
    fall: float

    @classmethod
    def of(cls, channels: ChannelStatistics, weight: DoubleArray, factors: DoubleArray) -> "_Expected":
        power = channels.mean_square / factors**2
        squared = np.square(weight * factors[:, np.newaxis])
        steps_squared = squared.max(axis=0, initial=0.0) / _WEIGHT_STEPS**2
        return cls(
            np.maximum(-channels.low / factors, 0.0),
            np.maximum(channels.high / factors, 0.0),
            power,
            squared.sum(axis=1),
            float(power @ np.minimum(steps_squared * _UNIFORM, squared).sum(axis=1)),
            channels.rows,
            _fall(channels),
        )

    def noise(self, weight_share: float, headroom: float) -> float:
        bottom, top = (headroom * float(reach.max(initial=0.0)) for reach in (self.low, self.high))
        step = (top + bottom) / _ACTIVATION_STEPS
        each = np.minimum(step**2 * _UNIFORM, self.power)
        if math.isfinite(self.rows):
            each = each + self._clipped(self.low, bottom) + self._clipped(self.high, top)
        return float(each @ self.strength + weight_share * self.of_weights)

    def _clipped(self, reach: DoubleArray, end: float) -> DoubleArray:
        """What a new row loses beyond one end of the range: its expected square, [K]."""
        falls = self.fall * reach
        # a channel that does not reach to this side loses nothing there
        beyond = (end - reach) / np.where(falls > 0.0, falls, np.inf)
        return np.asarray(2.0 * falls**2 * np.exp(-beyond) / (self.rows + 1.0), np.float64)


def _fall(channels: ChannelStatistics) -> float:
    """`b / r`, one for all channels: the steeper the tails, the smaller."""
    active = (channels.absmax > 0.0) & (channels.mean_square > 0.0)
    reaches = np.log(channels.absmax[active] / np.sqrt(channels.mean_square[active]))
    spread = float(reaches.std()) if reaches.size else 0.0
    return max(math.sqrt(6.0) / math.pi * spread, 1.0 / (2.0 * math.log(channels.rows + 2.0)))
