"""A placement and its numbers, written as standard QDQ operators."""

from collections.abc import Collection
from dataclasses import replace

import onnx_ir as ir

from workers.quantization.graph.names import fix_names
from workers.quantization.graph.nodes import nodes_by_name
from workers.quantization.passes.correct_bias import correct_bias
from workers.quantization.passes.insert_qdq import insert_qdq
from workers.quantization.placement import Placement
from workers.targets.preparation import Prepared
from workers.targets.target import Numbers


def build(prepared: Prepared, numbers: Numbers) -> ir.Model:
    """The quantized model, which any ONNX runtime reads."""
    candidate = prepared.model.clone()
    nodes = nodes_by_name(candidate.graph)
    for name, error in numbers.mean_errors.items():
        correct_bias(candidate.graph, nodes[name], error)
    placement = _with_new_biases(prepared.placement, numbers.mean_errors)
    insert_qdq(candidate, placement, numbers.activations, rounded=numbers.weights)
    fix_names(candidate)  # should the model use one of our names already
    return candidate


def _with_new_biases(placement: Placement, corrected: Collection[str]) -> Placement:
    """A correction gives a bias to a Conv or Gemm that had none, and QGemm takes biases of 32-bit integers only."""
    sites = tuple(
        replace(site, bias_input=2) if site.node in corrected and site.op_type in {"Conv", "Gemm"} else site
        for site in placement.weights
    )
    return replace(placement, weights=sites)
