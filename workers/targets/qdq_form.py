"""A placement and its numbers, written as standard QDQ operators."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

from workers.quantization.affine import choose_qparams
from workers.quantization.passes.correct_bias import correct_bias
from workers.quantization.passes.insert_qdq import insert_qdq
from workers.quantization.placement import Placement
from workers.quantization.ranges import Range
from workers.quantization.rounding.rounded_weight import RoundedWeight
from workers.targets.preparation import Prepared


def build(
    prepared: Prepared,
    ranges: Mapping[str, Range],
    *,
    rounded: Mapping[str, RoundedWeight],
    mean_errors: Mapping[str, npt.NDArray[np.float64]] | None = None,
) -> ir.Model:
    """The quantized model, as standard QDQ operators that any ONNX runtime reads.

    ranges: by tensor. rounded: by operator. mean_errors: by operator, what to take out of the biases.
    """
    qparams = {name: choose_qparams(*ranges[name], scheme) for name, scheme in prepared.placement.scheme_of.items()}
    candidate = prepared.model.clone()
    nodes = {node.name: node for node in candidate.graph}
    for name, error in (mean_errors or {}).items():
        correct_bias(candidate.graph, nodes[name], error)
    insert_qdq(candidate, _with_new_biases(prepared.placement, mean_errors or {}), qparams, rounded=rounded)
    NameFixPass()(candidate)  # should the model use one of our names already
    return candidate


def _with_new_biases(placement: Placement, corrected: Collection[str]) -> Placement:
    """A correction gives a bias to a Conv or Gemm that had none, and QGemm takes biases of 32-bit integers only."""
    sites = tuple(
        replace(site, bias_input=2) if site.node in corrected and site.op_type in {"Conv", "Gemm"} else site
        for site in placement.weights
    )
    return replace(placement, weights=sites)
