"""Operators that multiply by constant weights: where the weight is, along which axis its channels lie."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from workers.quantization.graph.constants import constant_of, float_constant_of
from workers.quantization.scheme import Scheme

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Gather"})

_SMALLEST_EMBEDDING = 1024  # elements; below, the scales weigh as much as what int8 saves


@dataclass(frozen=True)
class WeightSite:
    """A weight that can become integers, named by the operator that reads it."""

    node: str
    op_type: str
    weight_input: int
    axis: int
    """The axis that gets one scale per index when the scheme asks for it."""
    scheme: Scheme
    """Which integers it becomes."""
    bias_input: int | None = None
    bias: Literal["int32", "float"] = "int32"
    """What the bias becomes, if there is one."""


@dataclass(frozen=True)
class LeftInFloat:
    """Why an operator is not quantized."""

    reason: str


def is_standard(node: ir.Node) -> bool:
    return node.domain in {"", "ai.onnx"}


def is_candidate(node: ir.Node) -> bool:
    """True for every operator that a user may expect to see quantized; a lookup in a small or integer table is none."""
    if not is_standard(node) or node.op_type not in WEIGHTED:
        return False
    return node.op_type != "Gather" or _is_embedding(node)


def weight_site(node: ir.Node, scheme: Scheme) -> WeightSite | LeftInFloat:
    """Where a candidate keeps the weight that becomes integers of `scheme`, or why no target could make any of it."""
    if node.op_type == "Gather":
        return WeightSite(node.name or "", "Gather", 0, axis=1, scheme=scheme)
    refusal = _unusable_weight(node)
    if refusal is not None:
        return refusal
    has_bias = node.op_type != "MatMul" and len(node.inputs) > 2 and node.inputs[2] is not None
    axis = _channel_axis(node)
    return WeightSite(node.name or "", node.op_type, 1, axis=axis, scheme=scheme, bias_input=2 if has_bias else None)


def _channel_axis(node: ir.Node) -> int:
    """The axis of the weight along which the output channels lie."""
    match node.op_type:
        case "Conv":
            return 0  # [out, in / groups, ...]
        case "ConvTranspose":
            return 1  # [in, out / groups, ...]
        case "Gemm":
            return 0 if node.attributes.get_int("transB", 0) else 1
        case _:
            weight = constant_of(node.inputs[1])
            assert weight is not None
            return max(weight.ndim - 1, 0)  # [..., in, out]


def _unusable_weight(node: ir.Node) -> LeftInFloat | None:
    array = constant_of(node.inputs[1])
    if array is None:
        return _no_constant_weight(node)
    if array.dtype != np.float32:
        return LeftInFloat(f"Its weight is {array.dtype}; only float32 is quantized.")
    if array.size == 0:
        return LeftInFloat("Its weight is empty.")
    if constant_of(node.inputs[0]) is not None:
        return LeftInFloat("Both of its inputs are constants.")
    get = node.attributes.get_float
    if node.op_type == "Gemm" and (get("alpha", 1.0) != 1.0 or get("beta", 1.0) != 1.0):
        return LeftInFloat("Its factors alpha and beta are not 1.")
    return None


def _no_constant_weight(node: ir.Node) -> LeftInFloat:
    if node.op_type not in {"Gemm", "MatMul"}:
        return LeftInFloat("Its weight is computed at run time.")
    if constant_of(node.inputs[0]) is not None:
        return LeftInFloat("Its constant is the first input; only a constant second input is quantized.")
    return LeftInFloat("Both of its inputs are computed at run time; only constant weights become integers.")


def _is_embedding(node: ir.Node) -> bool:
    table = float_constant_of(node.inputs[0])
    rows = node.attributes.get_int("axis", 0) == 0
    return table is not None and rows and table.ndim == 2 and table.size >= _SMALLEST_EMBEDDING
