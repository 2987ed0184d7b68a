"""Dynamic int8: weights in integers, the ranges of their inputs found at run time. Needs no statistics."""

from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir

from app.contracts.problem import refuse
from app.contracts.recipes.dynamic import DynamicRecipe
from app.contracts.recipes.pair_limit import limits
from app.contracts.result import LayerReport
from app.contracts.status import Stage
from workers.pipeline.desk import Desk
from workers.pipeline.methods.lifting import in_float, lifted
from workers.pipeline.methods.method import Draft, Proposal
from workers.pipeline.methods.padded_ranges import warn_of_padding
from workers.pipeline.original import Original
from workers.quantization.dynamic import DynamicQuantizationFailed, NothingQuantized, names_left, quantize_dynamic
from workers.quantization.graph.skeleton import tensor_bytes
from workers.quantization.graph.weighted_operators import is_candidate
from workers.quantization.passes.quantize_products import quantize_products
from workers.targets.target import Target

_MOST_FOR_THE_TOOL = 256 << 20
"""Bytes of weights. ONNX Runtime's dynamic quantizer takes eight times as much memory."""


class Dynamic:
    def proposals(self, recipe: DynamicRecipe) -> tuple[Proposal, ...]:
        return (Proposal(recipe=recipe),)

    def begin(self, recipe: DynamicRecipe, model: onnx.ModelProto, folder: Path, target: Target) -> "DynamicMaker":  # noqa: ARG002  one form for all
        return DynamicMaker(model, folder)


@dataclass(frozen=True)
class DynamicMaker:
    model: onnx.ModelProto
    folder: Path
    """Where the model's external data lies."""
    stage: Stage = Stage.QUANTIZE
    calibrated_by: str | None = None

    def make(
        self, proposal: Proposal, original: Original, desk: Desk, *, left_out: frozenset[str] = frozenset()
    ) -> tuple[Draft, ...]:
        recipe = proposal.recipe
        assert isinstance(recipe, DynamicRecipe)  # as this method proposed it
        source = lifted(self.model, self.folder, original, desk)
        excluded = in_float(source.graph, recipe, left_out)
        warn_of_padding(source.graph, original.description, desk.reporter)
        if sum(map(tensor_bytes, self.model.graph.initializer)) > _MOST_FOR_THE_TOOL:
            return (_dynamic_by_weight(source, recipe, excluded),)
        try:
            return (_dynamic(source, recipe, excluded),)
        except DynamicQuantizationFailed as error:
            desk.reporter.log(f"ONNX Runtime's dynamic quantizer: {error}. Each weight is quantized by itself instead.")
            return (_dynamic_by_weight(source, recipe, excluded),)


def _dynamic_by_weight(source: ir.Model, recipe: DynamicRecipe, excluded: frozenset[str]) -> Draft:
    """For a model that ONNX Runtime's tool cannot take: one too large for it, or one that it fails on."""
    candidates = [node for node in source.graph if is_candidate(node)]
    done = quantize_products(
        source,
        per_channel=recipe.per_channel,
        limited=limits(recipe.reduce_range),
        nodes_to_exclude=excluded,
    )
    if not done:
        raise refuse(
            "nothing_to_quantize", "No Gather, Gemm, MatMul that is not excluded has a constant float32 weight."
        )
    layers = tuple(_dynamic_report(node, quantized=node.name in done) for node in candidates)
    return Draft("dynamic", "int8 dynamic", "dynamic", "int8", None, source, layers)


def _dynamic(model: ir.Model, recipe: DynamicRecipe, excluded: frozenset[str]) -> Draft:
    source = ir.to_proto(model)
    try:
        result = quantize_dynamic(
            source,
            per_channel=recipe.per_channel,
            reduce_range=limits(recipe.reduce_range),
            nodes_to_exclude=sorted(excluded),
        )
    except NothingQuantized as error:
        raise refuse("nothing_to_quantize", str(error)) from error
    left = {n.name for n in result.graph.node} - _integers(result)
    candidates = [n for n in ir.from_proto(source).graph if is_candidate(n)]
    layers = tuple(_dynamic_report(n, quantized=left.isdisjoint(names_left(n.name or ""))) for n in candidates)
    return Draft("dynamic", "int8 dynamic", "dynamic", "int8", None, ir.from_proto(result), layers)


def _dynamic_report(node: ir.Node, *, quantized: bool) -> LayerReport:
    reason = "int8 weight; the range of its input is found at run time."
    left = "The dynamic form leaves it in float."
    return LayerReport(
        node=node.name or "", op_type=node.op_type, quantized=quantized, reason=reason if quantized else left
    )


def _integers(model: onnx.ModelProto) -> set[str]:
    """Names of operators that read an integer initializer."""
    integers = {
        i.name for i in model.graph.initializer if i.data_type in {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    }
    return {n.name for n in model.graph.node if integers & set(n.input)}
