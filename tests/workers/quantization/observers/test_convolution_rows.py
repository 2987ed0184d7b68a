from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from workers.quantization.observers import GroupsDoNotDivide, SecondMomentObserver, Window, convolution_rows
from workers.quantization.rounding.weight_rows import RowLayout

WINDOWS = [
    (Window.plain(3, 3), 6, 4),
    (Window((3, 2), (2, 1), (1, 2), (1, 0, 1, 0)), 6, 4),
    (Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), group=6), 6, 12),
    (Window((1, 1), (2, 2), (1, 1), (0, 0, 0, 0), group=2), 6, 4),
    (Window((2, 3), (1, 2), (2, 1), (1, 2, 1, 2), group=3), 6, 9),
]


def sample(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("window", "channels", "filters"), WINDOWS)
def test_rows_times_filters_are_the_convolution(window: Window, channels: int, filters: int) -> None:
    x, weight = sample(2, channels, 9, 8), sample(filters, channels // window.group, *window.kernel)
    expected = functional.conv2d(
        torch.from_numpy(x),
        torch.from_numpy(weight),
        stride=window.strides,
        padding=window.pads[:2],
        dilation=window.dilations,
        groups=window.group,
    ).numpy()
    rows = convolution_rows(x, window)
    # [M, C / g, kh, kw] -> [M, columns] -> [g, M / g, columns]
    by_group = RowLayout(weight.shape, 0).rows(weight).reshape(window.group, filters // window.group, -1)
    product = rows @ by_group.transpose(0, 2, 1)  # [g, N * positions, M / g]
    images = product.reshape(window.group, 2, *expected.shape[2:], -1)
    ours = images.transpose(1, 0, 4, 2, 3).reshape(expected.shape)
    np.testing.assert_allclose(ours, expected, atol=2e-5)


@pytest.mark.parametrize(("window", "channels"), [(w, c) for w, c, _ in WINDOWS if w.group == 1])
def test_one_group_is_torchs_unfold(window: Window, channels: int) -> None:
    x = sample(2, channels, 9, 8)
    unfolded = functional.unfold(
        torch.from_numpy(x), window.kernel, dilation=window.dilations, padding=window.pads[:2], stride=window.strides
    )  # [N, channels * taps, positions]
    theirs = unfolded.numpy().reshape(2, channels, -1, unfolded.shape[2])
    expected = theirs.transpose(0, 3, 2, 1).reshape(1, -1, unfolded.shape[1])
    np.testing.assert_array_equal(convolution_rows(x, window), expected)


def test_uneven_pads_are_begins_then_ends() -> None:
    x = np.float32([[[[1, 2, 3]]]])
    rows = convolution_rows(x, Window((1, 2), (1, 1), (1, 1), (0, 2, 0, 1)))
    assert rows.tolist() == [[[0, 0], [0, 1], [1, 2], [2, 3], [3, 0]]]


def test_one_and_three_spatial_axes_work_alike() -> None:
    line = convolution_rows(np.float32([[[1, 2, 3], [4, 5, 6]]]), Window.plain(2))
    assert line.tolist() == [[[1, 4, 2, 5], [2, 5, 3, 6]]]
    assert convolution_rows(sample(2, 3, 4, 5, 6), Window.plain(2, 2, 2)).shape == (1, 2 * 3 * 4 * 5, 3 * 8)


def test_moments_of_a_depthwise_convolution_are_a_matrix_a_channel() -> None:
    x, window = sample(3, 5, 6, 6), Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1), group=5)
    seen = SecondMomentObserver.of(9, groups=5)
    for image in x:
        seen.observe(convolution_rows(image[np.newaxis], window))
    alone = convolution_rows(x[:, 2:3], Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1)))[0].astype(np.float64)
    np.testing.assert_allclose(seen.sums[2], alone.T @ alone, atol=1e-4)  # of a diagonal of 100
    assert seen.rows == 3 * 36


def test_no_images_are_no_rows() -> None:
    assert convolution_rows(np.zeros((0, 4, 5, 5), np.float32), Window.plain(3, 3)).shape == (1, 0, 36)


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    with pytest.raises(GroupsDoNotDivide, match="5 channels, 2 groups"):
        convolution_rows(sample(1, 5, 4, 4), Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), group=2))
