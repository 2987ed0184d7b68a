from typing import Any

import numpy as np
import pytest

from workers.quantization.affine import choose_qparams, fake_quantize
from workers.quantization.ranges import weight_mse_ranges
from workers.quantization.ranges.weights import SHARES
from workers.quantization.scheme import INT8_WEIGHTS, Scheme

INT4 = Scheme("int8", "per_axis", -7, 7, "absmax_over_q_max")
UINT4 = Scheme("uint8", "per_axis", 0, 15, "range_over_steps")


def weight(*shape: int) -> Any:
    return np.random.default_rng(0).standard_t(5, size=shape).astype(np.float32)


def square_error(row: Any, low: float, high: float, scheme: Scheme) -> float:
    moved = row - fake_quantize(row, choose_qparams(low, high, scheme))
    return float(np.sum(moved.astype(np.float64) ** 2))


@pytest.mark.parametrize("scheme", [INT8_WEIGHTS, INT4, UINT4])
def test_each_channel_gets_the_best_share_of_its_own_extremes(scheme: Scheme) -> None:
    w = weight(300, 5)
    low, high = weight_mse_ranges(w, scheme, axis=1)
    for channel in range(5):
        row = w[:, channel]
        tried = [(float(row.min()) * share, float(row.max()) * share) for share in SHARES]
        least = min(square_error(row, a, b, scheme) for a, b in tried)
        # float32 sums of squares differ by the order of their terms
        assert square_error(row, low[channel], high[channel], scheme) == pytest.approx(least, rel=1e-5)


def test_it_is_never_worse_than_the_extremes_and_much_better_in_four_bits() -> None:
    w = weight(8, 64, 3, 3)
    low, high = weight_mse_ranges(w, INT4, axis=0)
    clipped = sum(square_error(w[c], low[c], high[c], INT4) for c in range(8))
    whole = sum(square_error(w[c], float(w[c].min()), float(w[c].max()), INT4) for c in range(8))
    assert clipped < 0.7 * whole


def test_channels_are_independent_however_many_there_are() -> None:
    w = weight(700, 600)  # several blocks
    low, high = weight_mse_ranges(w, INT4, axis=0)
    for channel in (0, 250, 699):
        alone = weight_mse_ranges(w[channel : channel + 1], INT4, axis=0)
        assert (low[channel], high[channel]) == (alone[0][0], alone[1][0])


def test_zeros_constants_and_nothing() -> None:
    w = np.float32([[0, 0, 0], [2, 2, 2], [-3, -3, -3]])
    low, high = weight_mse_ranges(w, INT8_WEIGHTS, axis=0)
    assert (low.tolist(), high.tolist()) == ([0.0, 0.0, -3.0], [0.0, 2.0, 0.0])
    assert [len(end) for end in weight_mse_ranges(np.zeros((0, 4), np.float32), INT4, axis=0)] == [0, 0]
    assert [end.tolist() for end in weight_mse_ranges(np.zeros((2, 0), np.float32), INT4, axis=0)] == [[0, 0], [0, 0]]


def test_views_are_like_their_copies() -> None:
    w = weight(40, 20)
    view = w.T[::2]
    np.testing.assert_array_equal(
        weight_mse_ranges(view, INT4, axis=0), weight_mse_ranges(np.ascontiguousarray(view), INT4, axis=0)
    )
