import numpy as np

from workers.quantization.equalization import (
    divide_outputs,
    equalizing_scales,
    input_ranges,
    multiply_inputs,
    output_ranges,
)


def test_both_ranges_become_their_geometric_mean() -> None:
    # channel 0: sqrt(8 * 2) / 2 = 2; channel 1: sqrt(1 * 9) / 9 = 1 / 3
    scales = equalizing_scales(np.array([8.0, 1.0]), np.array([2.0, 9.0]))
    np.testing.assert_allclose(scales, [2.0, 1.0 / 3.0])
    # 8 / 2 = 2 * 2 = 4 and 1 * 3 = 9 / 3 = 3
    np.testing.assert_allclose(np.array([8.0, 1.0]) / scales, np.array([2.0, 9.0]) * scales)


def test_a_channel_that_one_side_does_not_use_keeps_its_scale() -> None:
    np.testing.assert_array_equal(equalizing_scales(np.array([0.0, 5.0, 0.0]), np.array([3.0, 0.0, 0.0])), np.ones(3))


def test_ranges_are_found_per_channel_whatever_the_groups() -> None:
    # two groups of two outputs and three inputs at one position
    weight = np.arange(12.0).reshape(2, 2, 3, 1) * np.array([1.0, -1.0, 1.0]).reshape(3, 1)
    np.testing.assert_array_equal(output_ranges(weight, np.zeros(4)), [2.0, 5.0, 8.0, 11.0])
    np.testing.assert_array_equal(input_ranges(weight), [3.0, 4.0, 5.0, 9.0, 10.0, 11.0])
    # inputs 0 and 1, 2 and 3, 4 and 5 are one channel each
    np.testing.assert_array_equal(input_ranges(weight, repeats=2), [4.0, 9.0, 11.0])


def test_a_bias_counts_like_a_weight() -> None:
    np.testing.assert_array_equal(output_ranges(np.ones((1, 2, 1, 1)), np.array([-7.0, 0.5])), [7.0, 1.0])


def test_scaling_reaches_exactly_one_channel() -> None:
    weight = np.ones((2, 1, 2, 1))
    divide_outputs(weight, np.array([1.0, 4.0]))
    np.testing.assert_array_equal(weight.reshape(2, 2), [[1.0, 1.0], [0.25, 0.25]])
    weight = np.ones((2, 1, 2, 1))
    multiply_inputs(weight, np.array([3.0, 5.0]), repeats=2)
    np.testing.assert_array_equal(weight.reshape(2, 2), [[3.0, 3.0], [5.0, 5.0]])
