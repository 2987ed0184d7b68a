"""Extremes that follow the data slowly. Here for users who compare with other tools; `FloatBitsObserver` is better."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from workers.quantization.observers.stored import Arrays, extremes, only, tally
from workers.quantization.observers.usable import are_usable, set_apart


@dataclass
class MovingAverageObserver:
    """Exponential moving average of the batches' extremes.

        low <- low + c * (min(batch) - low),   high likewise; the first batch sets both

    The order of the batches and how the data was cut into them change the result: that is what the formula says. So
    there is no addition of two of these, and statistics of two workers cannot be merged.
    Sequences of batches b_0..b_n give low = (1 - c)^n min(b_0) + sum_k c (1 - c)^(n - k) min(b_k).
    NaN, infinite and huge values are counted and left out; a batch that has nothing else changes nothing.
    Source: torch.ao.quantization.MovingAverageMinMaxObserver. Deviation: the average is float64, not float32.
    """

    constant: float = 0.01
    """Weight of a new batch, 0..1."""
    low: float = np.inf
    high: float = -np.inf
    batches: int = 0
    nonfinite: int = 0
    huge: int = 0

    def observe(self, batch: npt.ArrayLike) -> None:
        with np.errstate(over="ignore"):
            values = np.asarray(batch, np.float32)
        if values.size and not are_usable(float(values.min()), float(values.max())):
            usable, nonfinite, huge = set_apart(values)
            self.nonfinite += nonfinite
            self.huge += huge
            values = values[usable]
        if values.size:
            self._follow(float(values.min()), float(values.max()))

    def to_arrays(self) -> Arrays:
        return {
            "extremes": np.array([self.low, self.high]),
            "tally": np.array([self.batches, self.nonfinite, self.huge], np.int64),
        }

    def filled(self, arrays: Arrays) -> Self:
        """Raises StoredStatisticsInvalid."""
        only(arrays, "extremes", "tally")
        batches, nonfinite, huge = tally(arrays, "tally", (3,)).tolist()
        low, high = extremes(arrays, "extremes", np.asarray(batches > 0)).tolist()
        return type(self)(self.constant, low, high, batches, nonfinite, huge)

    def _follow(self, low: float, high: float) -> None:
        first = self.batches == 0
        self.low = low if first else self.low + self.constant * (low - self.low)
        self.high = high if first else self.high + self.constant * (high - self.high)
        self.batches += 1
