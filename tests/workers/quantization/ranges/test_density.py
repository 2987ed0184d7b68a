from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workers.quantization.observers import FloatBitsObserver
from workers.quantization.ranges.density import density_of


def observed(x: Any) -> FloatBitsObserver:
    observer = FloatBitsObserver()
    observer.observe(np.asarray(x, np.float32))
    return observer


@given(hnp.arrays(np.float32, st.integers(1, 200), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_pieces_ascend_within_the_extremes_and_hold_every_value(x: Any) -> None:
    density = density_of(observed(x))
    assert density.counts.sum() == x.size
    assert (density.starts <= density.stops).all()
    assert (density.stops[:-1] <= density.starts[1:]).all()
    assert (density.starts[0], density.stops[-1]) == (float(x.min()), float(x.max()))
    held = sum(((x >= a) & (x <= b)).any() for a, b in zip(density.starts, density.stops, strict=True))
    assert held == len(density.counts)


def test_mirrored_is_the_density_of_the_negatives() -> None:
    x = np.random.default_rng(0).normal(1.0, 1.0, size=1000)
    ours, theirs = density_of(observed(x)).mirrored(), density_of(observed(-x))
    np.testing.assert_array_equal(ours.starts, theirs.starts)
    np.testing.assert_array_equal(ours.stops, theirs.stops)
    np.testing.assert_array_equal(ours.counts, theirs.counts)


def test_a_constant_has_one_piece_without_width() -> None:
    density = density_of(observed(np.full(9, 2.5)))
    assert (density.starts.tolist(), density.stops.tolist(), density.counts.tolist()) == ([2.5], [2.5], [9.0])


def test_nothing_observed_has_no_pieces() -> None:
    assert len(density_of(FloatBitsObserver()).counts) == 0
