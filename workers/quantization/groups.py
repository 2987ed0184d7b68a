"""Groups: runs of neighbours along one axis that share a scale, the blocks of ONNX's QuantizeLinear in opset 21."""

from typing import Any

import numpy as np
import numpy.typing as npt


class GroupSizeDoesNotDivide(ValueError):
    """The axis is no whole number of groups. ONNX would allow a last, shorter block; few kernels do."""

    def __init__(self, *, length: int, group_size: int, axis: int) -> None:
        sentence = f"Axis {axis} has {length} values, which groups of {group_size} do not divide."
        super().__init__(f"{sentence} Choose a divisor of {length}, or per_axis.")
        self.length, self.group_size, self.axis = length, group_size, axis


def split_into_groups(x: npt.NDArray[Any], *, axis: int, group_size: int) -> npt.NDArray[Any]:
    """[.., length, ..] -> [.., length / group_size, group_size, ..], a view where numpy can give one.

    Groups are numbered by the old `axis`, their members by the one after it. Raises GroupSizeDoesNotDivide.
    """
    axis %= x.ndim
    length = x.shape[axis]
    if length % group_size:
        raise GroupSizeDoesNotDivide(length=length, group_size=group_size, axis=axis)
    return x.reshape(*x.shape[:axis], length // group_size, group_size, *x.shape[axis + 1 :])


def for_members(per_group: npt.NDArray[Any], *, axis: int) -> npt.NDArray[Any]:
    """[.., groups, ..] -> [.., groups, 1, ..]: what each group has, ready to meet the members of its group."""
    return np.expand_dims(per_group, axis % per_group.ndim + 1)
