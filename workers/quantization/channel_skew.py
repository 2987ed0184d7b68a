"""How unequal the channels of a network are: whether equalization has anything to mend."""

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from workers.quantization.graph.constants import float_constant_of
from workers.quantization.graph.weighted_operators import LeftInFloat, weight_site
from workers.quantization.scheme import INT8_WEIGHTS

SKEWED = 1.0
"""In octaves: a network whose channel scales spread by 2^U(-3, 3) has 1.7 or more, ordinary ones about 0.5."""


def channel_skew(before: ir.Model, after: ir.Model, layers: Collection[str]) -> float:
    """The median over layers of the standard deviation of log2(absmax before / absmax after) over output channels.

    Equalization has moved each channel by exactly that much. 0 without layers.
    """
    old, new = (_output_ranges(model, layers) for model in (before, after))
    spreads = [_spread(old[name], new[name]) for name in old]
    return float(np.median(spreads)) if spreads else 0.0


def _output_ranges(model: ir.Model, layers: Collection[str]) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    found = {}
    for node in model.graph:
        site = weight_site(node, INT8_WEIGHTS) if node.name in layers else LeftInFloat("")
        weight = None if isinstance(site, LeftInFloat) else float_constant_of(node.inputs[site.weight_input])
        if weight is None or isinstance(site, LeftInFloat):
            continue
        others = tuple(d for d in range(weight.ndim) if d != site.axis)
        found[node.name or ""] = np.abs(weight).max(axis=others, initial=0.0).astype(np.float64)
    return found


def _spread(
    old: np.ndarray[tuple[int], np.dtype[np.float64]], new: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> float:
    used = (old > 0.0) & (new > 0.0)
    return float(np.log2(old[used] / new[used]).std()) if used.any() else 0.0
