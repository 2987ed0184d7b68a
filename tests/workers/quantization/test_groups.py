import numpy as np
import pytest

from workers.quantization.groups import GroupSizeDoesNotDivide, for_members, split_into_groups


def test_groups_are_runs_of_neighbours() -> None:
    x = np.arange(12).reshape(2, 6)
    groups = split_into_groups(x, axis=1, group_size=3)
    assert groups.tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]


def test_groups_along_the_first_axis_keep_the_others_in_place() -> None:
    x = np.arange(8).reshape(4, 2)
    groups = split_into_groups(x, axis=-2, group_size=2)
    assert groups.tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    # [2 groups, 2] -> [2 groups, 1, 2]: what a group has meets each of its members
    assert for_members(groups.max(axis=1), axis=-2).tolist() == [[[2, 3]], [[6, 7]]]


def test_a_group_size_that_does_not_divide_is_refused_with_the_sizes() -> None:
    with pytest.raises(GroupSizeDoesNotDivide, match="Axis 1 has 6 values, which groups of 4 do not divide") as refusal:
        split_into_groups(np.zeros((2, 6)), axis=-1, group_size=4)
    assert (refusal.value.length, refusal.value.group_size, refusal.value.axis) == (6, 4, 1)
