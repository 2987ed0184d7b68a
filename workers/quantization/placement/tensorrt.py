"""Which tensors of a graph become integers, for TensorRT's explicit quantization.

TensorRT moves quantize operators backwards and dequantize operators forwards, and fuses a layer whose inputs are all
dequantized. What follows is where it finds them:

1. All inputs of a weighted operator (Conv, ConvTranspose, Gemm, MatMul): int8, symmetric, one scale per activation
   and one per channel of the weight; ConvTranspose has int8 kernels for one scale per tensor only. The bias stays
   float: TensorRT refuses a dequantized int32.
2. Both inputs of a MatMul of two activations, unless the rules switch it off: a fused attention in float16 may be
   faster than an int8 product.
3. Of a residual Add only the identity branch, see `residual`.
4. Pools and Concat that lead into a quantized operator: int8 in, int8 out. A MaxPool keeps its scale, and all inputs
   of a Concat have the scale of its result, so that joining them is no work.
5. Not a product with one row or one column: it waits for memory, which int8 inputs do not shorten.

Never: outputs of the model, masks and positions, embedding tables, what goes into Softmax and LayerNormalization, the
inside of a GELU.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from workers.quantization.graph.constants import constant_of, float_constant_of
from workers.quantization.graph.weighted_operators import (
    LeftInFloat,
    WeightSite,
    is_candidate,
    is_standard,
    weight_site,
)
from workers.quantization.placement.data_flow import values_with_data
from workers.quantization.placement.integer_flow import MOVES_VALUES, POOLS
from workers.quantization.placement.plan import (
    INSIDE_BODY,
    Exclusions,
    LayerDecision,
    Pair,
    Placement,
    Reader,
    in_integers,
    left_in_float,
)
from workers.quantization.placement.residual import Residual, depths, residual_of
from workers.quantization.placement.rules import TENSORRT, TensorRtRules
from workers.quantization.placement.scale_sharing import SharedScales

_TABLE = LeftInFloat("Embedding tables stay float for TensorRT.")
_SWITCHED_OFF_PRODUCTS = LeftInFloat("The rules leave products of two computed tensors in float.")
_SWITCHED_OFF_RESIDUAL = LeftInFloat("The rules leave residual additions in float.")
_MATRIX_VECTOR = LeftInFloat("It multiplies a single row or column, which int8 does not make faster.")
_NO_DATA = LeftInFloat("One of its inputs is a mask or a position, not data.")


def place_for_tensorrt(
    model: ir.Model,
    rules: TensorRtRules = TENSORRT,
    *,
    op_types_to_exclude: Collection[str] = (),
    nodes_to_exclude: Collection[str] = (),
) -> Placement:
    """Apply rules 1 to 5. The model is read only."""
    draft = _Draft(model.graph, rules, Exclusions.named(op_types_to_exclude, nodes_to_exclude))
    draft.place_products()
    draft.place_residuals()
    draft.place_pools_and_joins()
    return Placement(tuple(draft.sites), tuple(draft.pairs()), tuple(draft.decisions))


@dataclass
class _Draft:
    """A placement in the making."""

    graph: ir.Graph
    rules: TensorRtRules
    exclusions: Exclusions
    sites: list[WeightSite] = field(default_factory=list)
    decisions: list[LayerDecision] = field(default_factory=list)
    int8_inputs: set[Reader] = field(default_factory=set)
    """Inputs of operators that read int8, weights aside."""

    def place_products(self) -> None:
        """Rules 1, 2 and 5."""
        data = values_with_data(self.graph)
        for node in (n for n in ir.traversal.RecursiveGraphIterator(self.graph) if is_candidate(n)):
            found = self.exclusions.of(node) or self._product(node, data)
            if isinstance(found, LeftInFloat):
                self.decisions.append(left_in_float(node, found))
            elif isinstance(found, WeightSite):
                self.sites.append(found)
                self._quantize(node, [0], "int8 weight and int8 input.")
            else:
                self._quantize(node, [0, 1], "Both inputs are int8.")

    def place_residuals(self) -> None:
        """Rule 3."""
        layers, depth, data = {s.node for s in self.sites}, depths(self.graph), values_with_data(self.graph)
        for node in self.graph:
            found = residual_of(node, layers, depth)
            if isinstance(found, Residual):
                found = self._unfit_residual(node, found, data) or found
            if isinstance(found, LeftInFloat):
                self.decisions.append(left_in_float(node, found))
            elif found is not None:
                reason = f"int8 identity branch; the other one stays float and is added inside {found.layer}."
                self._quantize(node, [found.identity_input], reason)

    def place_pools_and_joins(self) -> None:
        """Rule 4, from the outputs up: what leads into an operator placed here leads into int8 as well."""
        placed = []
        for node in reversed(list(self.graph)):
            if self._may_pass_int8(node) and self._leads_into_int8(node.outputs[0]):
                self.int8_inputs |= {(node.name or "", i) for i in range(len(node.inputs))}
                placed.append(in_integers(node, "int8 in and out, before a quantized operator."))
        self.decisions += reversed(placed)

    def pairs(self) -> list[Pair]:
        """One pair for each tensor and scale, with all who read it."""
        shared = SharedScales(self.graph, {name for name, _ in self.int8_inputs})
        readers: dict[tuple[str, str], list[Reader]] = {}
        for node in self.graph:
            for index, value in enumerate(node.inputs):
                reader = (node.name or "", index)
                if value is not None and reader in self.int8_inputs:
                    readers.setdefault((value.name or "", shared.read_by(node, index)), []).append(reader)
        scheme = self.rules.schemes.activations
        return [Pair(tensor, scale_of, tuple(names), scheme) for (tensor, scale_of), names in readers.items()]

    def _quantize(self, node: ir.Node, inputs: list[int], reason: str) -> None:
        self.int8_inputs |= {(node.name or "", i) for i in inputs}
        self.decisions.append(in_integers(node, reason))

    def _unfit_residual(self, add: ir.Node, found: Residual, data: set[str]) -> LeftInFloat | None:
        if not self.rules.residual_identity:
            return _SWITCHED_OFF_RESIDUAL
        identity = add.inputs[found.identity_input]
        assert identity is not None
        return self.exclusions.of(add) or (None if identity.name in data else _NO_DATA)

    def _product(self, node: ir.Node, data: set[str]) -> WeightSite | LeftInFloat | None:
        """Where the weight is, or why it stays; None for a product of two activations to be quantized."""
        if node.graph is not self.graph:
            return INSIDE_BODY
        if node.op_type == "Gather":
            return _TABLE
        if node.op_type == "MatMul" and all(constant_of(v) is None for v in node.inputs):
            return self._product_of_activations(node, data)
        found = weight_site(node, self.rules.schemes.weights)
        if isinstance(found, LeftInFloat):
            return found
        return _MATRIX_VECTOR if _is_matrix_vector(node) else _for_tensorrt(node, found)

    def _product_of_activations(self, node: ir.Node, data: set[str]) -> LeftInFloat | None:
        if any(v is None or v.name not in data for v in node.inputs):
            return _NO_DATA
        if not self.rules.products_of_activations:
            return _SWITCHED_OFF_PRODUCTS
        return _MATRIX_VECTOR if _is_matrix_vector(node) else None

    def _may_pass_int8(self, node: ir.Node) -> bool:
        if not is_standard(node) or node.op_type not in POOLS | {"MaxPool", "Concat"} or self.exclusions.of(node):
            return False
        computed = all(v is not None and constant_of(v) is None for v in node.inputs)
        return computed and len(node.outputs) == 1 and not node.outputs[0].is_graph_output()

    def _leads_into_int8(self, value: ir.Value) -> bool:
        """A quantized operator reads the value, itself or what a Reshape and its like make of it."""
        return any(
            (u.node.name, u.idx) in self.int8_inputs
            or (u.node.op_type in MOVES_VALUES and u.idx == 0 and self._leads_into_int8(u.node.outputs[0]))
            for u in value.uses()
        )


def _for_tensorrt(node: ir.Node, site: WeightSite) -> WeightSite:
    weight = float_constant_of(node.inputs[site.weight_input])
    assert weight is not None
    one_scale = node.op_type == "ConvTranspose" or (node.op_type == "MatMul" and weight.ndim > 2)
    scheme = replace(site.scheme, granularity="per_tensor", group_size=None) if one_scale else site.scheme
    return replace(site, bias="float", scheme=scheme)


def _is_matrix_vector(node: ir.Node) -> bool:
    """True when the result of a Gemm or MatMul is known to have one row or one column."""
    if node.op_type not in {"Gemm", "MatMul"}:
        return False
    weight, shape = constant_of(node.inputs[1]), node.outputs[0].shape
    if weight is not None:
        columns_axis = 0 if node.attributes.get_int("transB", 0) else -1
        if weight.ndim < 2 or weight.shape[columns_axis] == 1:
            return True
        # the leading dimensions of an activation are all rows of one product
        return shape is not None and all(d == 1 for d in list(shape)[:-1])
    return shape is not None and (len(shape) < 2 or 1 in {shape[-1], shape[-2]})
