"""The float model in the form that quantizes well, and where integers will be put."""

from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir

from app.contracts.recipe import Recipe
from workers.quantization.channel_skew import SKEWED, channel_skew
from workers.quantization.graph.model_file import from_message
from workers.quantization.graph.opset import OpsetNotConvertible, raise_opset
from workers.quantization.passes.equalize import equalize
from workers.quantization.passes.fold_batch_norm import fold_batch_norm
from workers.quantization.passes.fold_bias_add import fold_bias_add
from workers.quantization.passes.fold_reshape_targets import fold_reshape_targets
from workers.quantization.passes.fuse_gelu import GELU_OPSET, fuse_gelu
from workers.quantization.passes.lift_constants import lift_constants
from workers.quantization.passes.plain_pools import plain_pools
from workers.quantization.placement import Placement, Schemes, place_for_onnxruntime_cpu
from workers.quantization.scheme import UINT8_ACTIVATIONS, weight_scheme


@dataclass(frozen=True)
class Prepared:
    """The float model as this target quantizes it, and where it will put integers."""

    model: ir.Model
    placement: Placement


def prepare(model: onnx.ModelProto, recipe: Recipe, *, folder: Path | None = None) -> Prepared:
    """Bring a float model into the form that quantizes well and decide what will become integers.

    The outputs stay what they were, to rounding. folder: of its external data, which stays there; None: it has none.
    Raises OpsetNotConvertible, NodeNotInModel.
    """
    graph_model = lift_constants(from_message(_in_suitable_opset(model), folder))
    fold_reshape_targets(graph_model)
    if graph_model.opset_imports[""] >= GELU_OPSET:
        fuse_gelu(graph_model)
    fold_batch_norm(graph_model)
    fold_bias_add(graph_model)
    plain_pools(graph_model)
    if recipe.equalize != "off":
        graph_model = _equalized(graph_model, only_if_skewed=recipe.equalize == "auto")
    return placed(graph_model, recipe)


def _equalized(graph_model: ir.Model, *, only_if_skewed: bool) -> ir.Model:
    """Equalization costs a decibel where channels are even already and weights have a scale for each: it then evens out
    weights at the expense of activations."""
    evened = graph_model.clone()
    touched = equalize(evened)
    skew = channel_skew(graph_model, evened, touched)
    return evened if touched and (not only_if_skewed or skew >= SKEWED) else graph_model


def placed(graph_model: ir.Model, recipe: Recipe) -> Prepared:
    """Decide anew for a graph that a pass has changed."""
    placement = place_for_onnxruntime_cpu(
        graph_model,
        Schemes(UINT8_ACTIVATIONS, weight_scheme(per_channel=recipe.per_channel)),
        op_types_to_exclude=recipe.op_types_to_exclude,
        nodes_to_exclude=recipe.nodes_to_exclude,
    )
    return Prepared(graph_model, placement)


def _in_suitable_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Opset 13 for scales along an axis; 20 for Gelu where the model may spell it out, if it converts that far."""
    if any(node.op_type == "Erf" for node in model.graph.node):
        try:
            return raise_opset(model, GELU_OPSET)
        except OpsetNotConvertible:
            pass  # only speed is lost, and the benchmark shows it
    return raise_opset(model)
