"""Operators that multiply by constant weights: where the weight is, along which axis its channels lie."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from workers.quantization.constants import constant_of, float_constant_of

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Gather"})

_SMALLEST_EMBEDDING = 1024  # elements; below, the scales weigh as much as what int8 saves


@dataclass(frozen=True)
class WeightSite:
    """A weight that can become integers, named by the operator that reads it."""

    node: str
    op_type: str
    weight_input: int
    axis: int
    """The axis that gets one scale per index when the recipe asks for it."""
    bias_input: int | None = None


@dataclass(frozen=True)
class LeftInFloat:
    """Why an operator cannot be quantized."""

    reason: str


def is_standard(node: ir.Node) -> bool:
    return node.domain in {"", "ai.onnx"}


def is_candidate(node: ir.Node) -> bool:
    """True for every operator that a user may expect to see quantized; a lookup in a small or integer table is none."""
    if not is_standard(node) or node.op_type not in WEIGHTED:
        return False
    return node.op_type != "Gather" or _is_embedding(node)


def weight_site(node: ir.Node) -> WeightSite | LeftInFloat:
    """Where a candidate keeps its weight, or why it stays in float."""
    match node.op_type:
        case "Conv":
            return _with_bias(node, axis=0)
        case "Gemm":
            return _gemm(node)
        case "MatMul":
            return _matmul(node)
        case "Gather":
            return WeightSite(node.name or "", "Gather", 0, axis=1)
        case _:
            return LeftInFloat(f"ONNX Runtime has no integer kernel for {node.op_type} on CPU.")


def _with_bias(node: ir.Node, *, axis: int) -> WeightSite | LeftInFloat:
    refusal = _unusable_weight(node, 1)
    if refusal is not None:
        return refusal
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
    if has_bias and float_constant_of(node.inputs[2]) is None:
        return LeftInFloat("Its bias is computed at run time.")
    return WeightSite(node.name or "", node.op_type, 1, axis=axis, bias_input=2 if has_bias else None)


def _gemm(node: ir.Node) -> WeightSite | LeftInFloat:
    get = node.attributes.get_float
    if get("alpha", 1.0) != 1.0 or get("beta", 1.0) != 1.0:
        return LeftInFloat("Its factors alpha and beta are not 1.")
    if node.attributes.get_int("transA", 0):
        return LeftInFloat("Its first input is transposed.")
    site = _with_bias(node, axis=0 if node.attributes.get_int("transB", 0) else 1)
    bias = float_constant_of(node.inputs[2]) if isinstance(site, WeightSite) and site.bias_input else None
    weight = float_constant_of(node.inputs[1])
    if isinstance(site, WeightSite) and bias is not None and weight is not None:
        # an integer bias holds one number for each output channel, nothing else
        return site if bias.shape == (weight.shape[site.axis],) else LeftInFloat("Its bias is not one per channel.")
    return site


def _matmul(node: ir.Node) -> WeightSite | LeftInFloat:
    refusal = _unusable_weight(node, 1)
    if refusal is not None:
        return refusal
    weight = float_constant_of(node.inputs[1])
    assert weight is not None
    if weight.ndim != 2:
        return LeftInFloat(f"Its weight has {weight.ndim} dimensions; the integer kernel takes 2.")
    return WeightSite(node.name or "", "MatMul", 1, axis=1)


def _unusable_weight(node: ir.Node, index: int) -> LeftInFloat | None:
    array = constant_of(node.inputs[index])
    if array is None:
        return LeftInFloat("Its weight is computed at run time.")
    if array.dtype != np.float32:
        return LeftInFloat(f"Its weight is {array.dtype}; only float32 is quantized.")
    if array.size == 0:
        return LeftInFloat("Its weight is empty.")
    if constant_of(node.inputs[0]) is not None:
        return LeftInFloat("Both of its inputs are constants.")
    return None


def _is_embedding(node: ir.Node) -> bool:
    table = float_constant_of(node.inputs[0])
    rows = node.attributes.get_int("axis", 0) == 0
    return table is not None and rows and table.ndim == 2 and table.size >= _SMALLEST_EMBEDDING
