"""The integers of every weight that multiplies, rounded once and shared by all candidates of a job."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from app.contracts.recipes.pair_limit import limits
from app.contracts.recipes.static import StaticRecipe
from workers.pipeline.methods.static.statistics import Statistics, hessian_key
from workers.protocol.reporter import Reporter
from workers.quantization.graph.constants import float_constant_of, let_go
from workers.quantization.observers import Window
from workers.quantization.placement.sites import multiplied
from workers.quantization.rounding.rounded_weight import RoundedWeight, round_weight
from workers.quantization.smoothing import Smoothing
from workers.targets.preparation import Prepared

DoubleArray = npt.NDArray[np.float64]


def rounded_weights(
    prepared: Prepared,
    statistics: Statistics,
    smoothed: dict[str, tuple[str, Smoothing]],
    recipe: StaticRecipe,
    reporter: Reporter,
    *,
    before: Mapping[str, RoundedWeight] | None = None,
) -> dict[str, RoundedWeight]:
    """By operator. smoothed: tensors of this graph that are smoothed, with the tensor they were made from.

    before: of the same graph and statistics without smoothing; where nothing is smoothed, they stay what they were.
    """
    nodes = prepared.nodes
    sites = multiplied(prepared.placement)
    found: dict[str, RoundedWeight] = {}
    for site in sites:
        if before is not None and _input(nodes[site.node]) not in smoothed:
            found[site.node] = before[site.node]
            continue
        weight = float_constant_of(nodes[site.node].inputs[site.weight_input])
        assert weight is not None
        key = hessian_key(nodes[site.node], site)
        hessian = None if key is None else _hessian(statistics, key, smoothed)
        limited = limits(recipe.reduce_range) and not _is_depthwise(nodes[site.node], weight)
        found[site.node] = round_weight(weight, site.scheme, axis=site.axis, limited=limited, hessian=hessian)
        let_go(nodes[site.node].inputs[site.weight_input])
        reporter.progress(len(found), len(sites), "weights")
    return found


def _input(node: ir.Node) -> str:
    return node.inputs[0].name or ""  # type: ignore[union-attr]  # what multiplies has an input


def _hessian(
    statistics: Statistics, key: tuple[str, Window | None], smoothed: dict[str, tuple[str, Smoothing]]
) -> DoubleArray | None:
    """[groups, K, K] in the order of the weight's rows; of x / s where the tensor is smoothed."""
    tensor, window = key
    source, smoothing = smoothed.get(tensor, (tensor, None))
    moments = statistics.moments.get((source, window))
    if moments is None or moments.rows == 0:
        return None
    if smoothing is not None:
        inverse = 1.0 / smoothing.factors.astype(np.float64)
        return moments.sums * np.outer(inverse, inverse)
    return moments.sums


def _is_depthwise(node: ir.Node, weight: npt.NDArray[np.float32]) -> bool:
    """One output for one input channel: these kernels widen their products before they add them.

    With several outputs for each input, or a single input channel, the kernels are the ordinary ones and saturate.
    """
    group = node.attributes.get_int("group", 1)
    return node.op_type == "Conv" and weight.shape[1] == 1 and group == weight.shape[0] > 1
