"""The float model in the form that quantizes well, and where integers will be put."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import onnx
import onnx_ir as ir

from app.contracts.recipes.static import Equalize
from workers.quantization.channel_skew import SKEWED, channel_skew
from workers.quantization.graph.model_file import from_message
from workers.quantization.graph.nodes import nodes_by_name
from workers.quantization.graph.opset import OpsetNotConvertible, raise_opset
from workers.quantization.passes.all_axes import all_axes
from workers.quantization.passes.equalize import equalize
from workers.quantization.passes.fold_batch_norm import fold_batch_norm
from workers.quantization.passes.fold_bias_add import fold_bias_add
from workers.quantization.passes.fold_reshape_targets import fold_reshape_targets
from workers.quantization.passes.fuse_gelu import GELU_OPSET, fuse_gelu
from workers.quantization.passes.lift_constants import LIFTING, lift_constants
from workers.quantization.passes.plain_pools import plain_pools
from workers.quantization.placement import Exclusions, Placement


@dataclass(frozen=True)
class Prepared:
    """The float model as a target quantizes it, and where it will put integers."""

    model: ir.Model
    placement: Placement

    @cached_property
    def quantized(self) -> frozenset[str]:
        """The operators whose weights become integers."""
        return frozenset(site.node for site in self.placement.weights)

    @cached_property
    def nodes(self) -> dict[str, ir.Node]:
        """By name. requires: nobody changes the graph any more."""
        return nodes_by_name(self.model.graph)


_FOLDING: Mapping[str, Callable[[ir.Model, Exclusions], object]] = {
    "fold_reshape_targets": lambda graph, _: fold_reshape_targets(graph),
    "fuse_gelu": lambda graph, _: graph.opset_imports[""] >= GELU_OPSET and fuse_gelu(graph),
    "fold_batch_norm": lambda graph, excluded: fold_batch_norm(graph, keep=excluded.covers),
    "fold_bias_add": lambda graph, excluded: fold_bias_add(graph, keep=excluded.covers),
    "plain_pools": lambda graph, _: plain_pools(graph),
    "all_axes": lambda graph, _: all_axes(graph),
}
"""By name, in the order in which they run."""

PASSES = (*LIFTING, *_FOLDING, "equalize")
"""All that can be left out."""


def lifted_graph(model: onnx.ModelProto, folder: Path | None, *, without: Collection[str] = ()) -> ir.Model:
    """The least that any method needs: opset 13, and weights that operators read directly. folder: as below.

    Raises OpsetNotConvertible.
    """
    return lift_constants(from_message(raise_opset(model), folder), without=without)


def prepared_graph(
    model: onnx.ModelProto,
    folder: Path | None,
    *,
    equalization: Equalize,
    exclusions: Exclusions,
    without: Collection[str] = (),
) -> ir.Model:
    """The outputs stay what they were, to rounding. folder: of its external data; None: it has none.

    What is excluded is not folded into what may become integers. A Gelu never does, so all of them are fused.

    Raises OpsetNotConvertible.
    """
    suitable = raise_opset(model) if "fuse_gelu" in without else _in_suitable_opset(model)
    graph_model = lift_constants(from_message(suitable, folder), without=without)
    for name, apply in _FOLDING.items():
        if name not in without:
            apply(graph_model, exclusions)
    if equalization == "off" or "equalize" in without:
        return graph_model
    return _equalized(graph_model, only_if_skewed=equalization == "auto")


def _equalized(graph_model: ir.Model, *, only_if_skewed: bool) -> ir.Model:
    """Equalization costs a decibel where channels are even already and weights have a scale for each: it then evens out
    weights at the expense of activations."""
    evened = graph_model.clone()
    touched = equalize(evened)
    skew = channel_skew(graph_model, evened, touched)
    return evened if touched and (not only_if_skewed or skew >= SKEWED) else graph_model


def _in_suitable_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Opset 13 for scales along an axis; 20 for Gelu where the model may spell it out, if it converts that far."""
    if any(node.op_type == "Erf" for node in model.graph.node):
        try:
            return raise_opset(model, GELU_OPSET)
        except OpsetNotConvertible:
            pass  # only speed is lost, and the benchmark shows it
    return raise_opset(model)
