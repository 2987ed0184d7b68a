"""The order in which integer kernels walk a weight."""

import numpy as np
import pytest

from workers.quantization.rounding.weight_rows import RowLayout


@pytest.mark.parametrize(
    ("shape", "axis"), [((5, 3), 0), ((5, 3), 1), ((4, 3, 2, 5), 0), ((4, 1, 3), 0), ((7, 2, 1, 1), 0)]
)
def test_laying_out_and_back_changes_nothing(shape: tuple[int, ...], axis: int) -> None:
    weight = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    layout = RowLayout(shape, axis)
    assert layout.rows(weight).shape == (shape[axis], weight.size // shape[axis])
    np.testing.assert_array_equal(layout.weight(layout.rows(weight)), weight)


def test_a_convolution_is_unrolled_with_the_channels_innermost() -> None:
    weight = np.arange(2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2)
    row = RowLayout(weight.shape, 0).rows(weight)[1]
    expected = [weight[1, c, y, x] for y in range(2) for x in range(2) for c in range(3)]
    assert row.tolist() == expected


@pytest.mark.parametrize("shape", [(2, 3), (300, 3), (3, 300), (256, 256)])  # in one strip of columns, and in some
def test_a_product_is_unrolled_along_its_inputs(shape: tuple[int, int]) -> None:
    weight = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)  # [K, N]
    layout = RowLayout(shape, 1)
    rows = layout.rows(weight)
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, weight.T)
    np.testing.assert_array_equal(layout.weight(rows), weight)
