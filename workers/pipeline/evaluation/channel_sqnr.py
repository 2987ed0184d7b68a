"""Noise by channel: boxes of hundreds beside scores below 1 in one output hide what the scores lose."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.quantization.error_metrics import decibels

_MOST_CHANNELS = 1024


@dataclass(eq=False)
class ChannelSqnr:
    """Of outputs of three and more axes: of the first and the last behind the samples, the shorter one is taken.

    Where their extents differ from batch to batch, nothing is told.
    """

    axis: int | None = None
    signal: npt.NDArray[np.float64] | None = None
    noise: npt.NDArray[np.float64] | None = None
    is_ragged: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChannelSqnr) and self.worst_db() == other.worst_db()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def observe(self, expected: npt.NDArray[Any], actual: npt.NDArray[Any]) -> None:
        if expected.ndim < 3 or self.is_ragged:
            return
        if self.axis is None:
            self.axis = 1 if expected.shape[1] <= expected.shape[-1] else expected.ndim - 1
        channels = expected.shape[self.axis]
        if channels > _MOST_CHANNELS or (self.signal is not None and len(self.signal) != channels):
            self.is_ragged = True
            return
        others = tuple(axis for axis in range(expected.ndim) if axis != self.axis)
        reference = expected.astype(np.float64)
        finite = np.isfinite(reference)
        kept = np.where(finite, reference, 0.0)
        error = np.where(finite, actual.astype(np.float64) - kept, 0.0)
        signal, noise = (np.sum(np.square(x), axis=others) for x in (kept, error))
        self.signal = signal if self.signal is None else self.signal + signal
        self.noise = noise if self.noise is None else self.noise + noise

    def worst_db(self) -> float | None:
        """Of the channels that hold anything; None where nothing can be told, or nothing differs."""
        if self.signal is None or self.noise is None or self.is_ragged:
            return None
        told = [
            decibels(float(s), float(n)) for s, n in zip(self.signal, self.noise, strict=True) if s > 0.0 and n > 0.0
        ]
        return min(told, default=None)
