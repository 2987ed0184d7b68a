"""What calibration gathers of each tensor: as much as the recipe will ask for, and no more."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from workers.protocol.gathering import Gathering
from workers.quantization.graph.nodes import nodes_by_name
from workers.quantization.graph.weighted_operators import WeightSite
from workers.quantization.observers import (
    ChannelObserver,
    FloatBitsObserver,
    MovingAverageObserver,
    SecondMomentObserver,
    Window,
    convolution_rows,
    linear_rows,
)
from workers.quantization.observers.window import WindowNotStatic, window_of
from workers.quantization.placement import Placement
from workers.quantization.placement.sites import multiplied

HESSIAN_SAMPLES = 256
"""Samples that enter the Hessians. They cost as much as the forward pass, and a mean settles long before a range."""

_LARGEST_HESSIAN = 4096  # columns: 128 MiB, and a minute to invert

_LINEAR = frozenset({"MatMul", "Gemm"})

HessianKey = tuple[str, Window | None]
"""A tensor and the window through which a layer sees it: layers that agree in both share a Hessian."""


@dataclass
class Statistics:
    """Observers by tensor."""

    ranges: dict[str, FloatBitsObserver]
    averages: dict[str, MovingAverageObserver] = field(default_factory=dict)
    channels: dict[str, ChannelObserver] = field(default_factory=dict)
    moments: dict[HessianKey, SecondMomentObserver] = field(default_factory=dict)
    executor: str | None = None
    """Who ran the model; None while nobody did, or had to."""

    @property
    def tensors(self) -> tuple[str, ...]:
        """Those that have a range of their own."""
        return tuple(self.ranges)

    @property
    def watched(self) -> tuple[str, ...]:
        """All that are observed: a tensor that borrows its range, behind a MaxPool, may still have a Hessian."""
        return tuple(dict.fromkeys((*self.ranges, *(tensor for tensor, _ in self.moments))))

    def __add__(self, other: "Statistics") -> "Statistics":
        """Of the same graph and data, seen in two parts. requires: no moving averages, which cannot be added."""
        return Statistics(
            _added(self.ranges, other.ranges),
            channels=_added(self.channels, other.channels),
            moments=_added(self.moments, other.moments),
            executor=self.executor,
        )

    def observe(self, tensor: str, values: npt.NDArray[np.float32], *, samples_before: int) -> None:
        if tensor in self.ranges:
            self.ranges[tensor].observe(values)
        if tensor in self.averages:
            self.averages[tensor].observe(values)
        if tensor in self.channels:
            self.channels[tensor].observe(values)
        if samples_before < HESSIAN_SAMPLES:
            for (name, window), moments in self.moments.items():
                if name == tensor:
                    _observe_rows(moments, values, window)


class _Additive(Protocol):
    def __add__(self, other: Self) -> Self: ...


_Key = TypeVar("_Key")
_Observer = TypeVar("_Observer", bound=_Additive)


def _added(one: Mapping[_Key, _Observer], other: Mapping[_Key, _Observer]) -> dict[_Key, _Observer]:
    """A part need not have observed everything."""
    both = {key: observer + other[key] for key, observer in one.items() if key in other}
    return {**one, **other, **both}


def ranges_alone(placement: Placement) -> Statistics:
    """Observers for what min-max needs, and no more."""
    return Statistics({name: FloatBitsObserver() for name in placement.observed})


def empty_statistics(graph: ir.Graph, placement: Placement, asked: Gathering) -> Statistics:
    """Observers for what is asked of this placement."""
    statistics = ranges_alone(placement)
    if asked.averages:
        statistics.averages = {name: MovingAverageObserver() for name in placement.observed}
    nodes = nodes_by_name(graph)
    for site in multiplied(placement):
        node = nodes[site.node]
        tensor = node.inputs[0].name or ""  # type: ignore[union-attr]  # a site has an input
        columns, groups = _extent(node, site)
        if asked.channels and site.op_type in _LINEAR and tensor in statistics.ranges:
            statistics.channels.setdefault(tensor, ChannelObserver.of(columns))
        key = hessian_key(node, site)
        if asked.moments and columns <= _LARGEST_HESSIAN and key is not None:
            statistics.moments.setdefault(key, SecondMomentObserver.of(columns, groups=groups))
    return statistics


def hessian_key(node: ir.Node, site: WeightSite) -> HessianKey | None:
    """Under what the layer's Hessian is kept; None when its window is not known beforehand."""
    tensor = node.inputs[0].name or ""  # type: ignore[union-attr]  # a site has an input
    try:
        return tensor, window_of(node) if site.op_type == "Conv" else None
    except WindowNotStatic:
        return None


def _observe_rows(moments: SecondMomentObserver, values: npt.NDArray[np.float32], window: Window | None) -> None:
    """Sample by sample for a convolution: its rows are as many times larger as the kernel has positions."""
    if window is None:
        moments.observe(linear_rows(values))
        return
    for sample in values:
        moments.observe(convolution_rows(sample[np.newaxis], window))


def _extent(node: ir.Node, site: WeightSite) -> tuple[int, int]:
    """(inputs of one output channel, groups)"""
    shape = node.inputs[site.weight_input].const_value.shape.numpy()  # type: ignore[union-attr]  # weights are constants
    groups = node.attributes.get_int("group", 1) if site.op_type == "Conv" else 1
    return int(np.prod(shape)) // shape[site.axis], groups or 1
