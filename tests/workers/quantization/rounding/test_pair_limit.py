"""Weights whose neighbours cannot saturate a 16-bit sum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workers.quantization.rounding.pair_limit import breaks_pair_limit, limit_pairs, pair_reach

ROWS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(-4, 4, width=32))
CODES = hnp.arrays(np.int8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(-127, 127))


def _worst_sums(codes: np.ndarray) -> tuple[int, int]:
    """What vpmaddubsw would have to hold: 255 * a + 255 * b for the pairs (0, 1), (2, 3), .., written as a loop."""
    worst = (0, 0)
    for row in codes.astype(int):
        for k in range(0, len(row), 2):
            positive = sum(255 * max(int(v), 0) for v in row[k : k + 2])
            negative = sum(255 * min(int(v), 0) for v in row[k : k + 2])
            worst = (min(worst[0], negative), max(worst[1], positive))
    return worst


@given(ROWS)
def test_rounded_rows_within_the_reach_fit_16_bits_after_the_limit(rows: np.ndarray) -> None:
    scale = np.maximum(pair_reach(rows, q_max=127) / np.float32(127), np.float32(1e-20))
    codes = limit_pairs(np.clip(np.rint(rows / scale[:, np.newaxis]), -127, 127).astype(np.int8))
    low, high = _worst_sums(codes)
    assert low >= -32768
    assert high <= 32767
    # half a code of rounding, and one that the limit may take
    assert np.all(np.abs(codes * scale[:, np.newaxis] - rows) <= 1.5001 * scale[:, np.newaxis])


@given(CODES)
def test_the_limit_is_noticed_exactly_when_a_sum_would_saturate(codes: np.ndarray) -> None:
    low, high = _worst_sums(codes)
    assert breaks_pair_limit(codes) == (low < -32768 or high > 32767)
    assert not breaks_pair_limit(limit_pairs(codes))


@pytest.mark.parametrize(
    ("row", "reach"),
    [
        ([1.0, -1.0], 1.0),  # opposite signs cancel: the largest alone counts
        ([1.0, 0.5], 1.5 * 127 / 128),
        ([0.5, 1.0, 1.0, 0.5], 1.5 * 127 / 128),  # columns 1 and 2 belong to different pairs
        ([0.25, 0.25, 2.0], 2.0),  # an odd one out meets nobody
        ([0.0, 0.0], 0.0),
    ],
)
def test_the_reach_is_the_largest_weight_or_pair(row: list[float], reach: float) -> None:
    assert pair_reach(np.array([row], np.float32), q_max=127)[0] == pytest.approx(reach)


def test_nearly_the_whole_eighth_bit_is_kept_for_weights_like_real_ones() -> None:
    rows = np.random.default_rng(0).standard_normal((64, 384)).astype(np.float32)
    lost = pair_reach(rows, q_max=127) / np.abs(rows).max(axis=1)
    assert lost.mean() < 1.3  # 7-bit weights lose a factor of 2
