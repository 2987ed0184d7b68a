"""Weights that cannot saturate the 16-bit sums of processors without VNNI.

There, int8 kernels multiply with vpmaddubsw: products of two neighbouring uint8 activations and int8 weights are added
in 16 bits, and the sum saturates at 32,767. With activations of at most 255 that happens only when two neighbours of
the same sign exceed 128 together:

    255 * (a + b) <= 32,767   <=>   a + b <= 128        and likewise for negative codes

Limiting every weight to 7 bits (ONNX Runtime's reduce_range) avoids it at the price of one bit, 6 dB. Only the pairs
need a limit: for most weights the largest pair is hardly larger than the largest single one, so nearly all of the bit
is kept. Neighbours are columns 0 and 1, 2 and 3, .. of the layout in `weight_rows`. How the kernels pair was
established by running them on an emulated processor without VNNI; `docs/numerics/rounding.md` shows how to repeat that.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from workers.quantization.affine import FloatArray

_Number = TypeVar("_Number", np.float32, np.int16)

PAIR_LIMIT = 128
"""The largest sum of two neighbouring codes of the same sign."""


def pair_reach(rows: FloatArray, *, q_max: int) -> FloatArray:
    """The magnitude per row, [channels], that has to meet code `q_max` so that no pair exceeds PAIR_LIMIT.

    max(absmax, largest pair * q_max / 128), before rounding. Two of opposite signs are together at most as large as
    one of them alone, so that they need no exception. rows: [channels, K].
    """
    absmax = np.abs(rows).max(axis=1, initial=0.0)
    pairs = _paired(rows)
    together = np.abs(pairs[..., 0] + pairs[..., 1]).max(axis=1, initial=0.0)
    return np.asarray(np.maximum(absmax, together * (q_max / PAIR_LIMIT)), np.float32)


def limit_pairs(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """The codes with the larger of each offending pair moved towards zero. [channels, K] -> [channels, K].

    After `pair_reach` only rounding can offend, by one code.
    """
    if not breaks_pair_limit(codes):
        return codes
    wide = _paired(codes.astype(np.int16))
    excess = np.maximum(np.abs(wide[..., 0] + wide[..., 1]) - PAIR_LIMIT, 0)
    first_larger = np.abs(wide[..., 0]) >= np.abs(wide[..., 1])
    wide[..., 0] -= np.sign(wide[..., 0]) * np.where(first_larger, excess, 0)
    wide[..., 1] -= np.sign(wide[..., 1]) * np.where(first_larger, 0, excess)
    return wide.reshape(len(codes), -1)[:, : codes.shape[1]].astype(np.int8)


def breaks_pair_limit(codes: npt.NDArray[np.int8]) -> bool:
    """True when a pair of these rows could saturate."""
    wide = _paired(codes.astype(np.int16))
    return bool((np.abs(wide[..., 0] + wide[..., 1]) > PAIR_LIMIT).any())


def room_beside(partner: npt.NDArray[np.floating], *, q_min: int, q_max: int) -> tuple[FloatArray, FloatArray]:
    """The (lowest, highest) code that may stand beside codes that are chosen already."""
    low = np.where(partner < 0, -PAIR_LIMIT - partner, q_min)
    high = np.where(partner > 0, PAIR_LIMIT - partner, q_max)
    return np.maximum(low, q_min).astype(np.float32), np.minimum(high, q_max).astype(np.float32)


def _paired(rows: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """[channels, K] -> [channels, ceil(K / 2), 2]; an odd one out meets a zero."""
    padded = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
    return padded.reshape(len(rows), -1, 2)
