"""Which tensors of a graph become integers, for ONNX Runtime's CPU kernels.

What these kernels take, read off the optimised graphs that ONNX Runtime writes (tests hold it to this):

1. MatMul and Gemm run in integers when input and weight come from DequantizeLinear; the result may stay float.
2. Conv does so only when its result is quantized as well. A Relu or Clip behind it is absorbed if the quantize follows.
3. MaxPool and operators that only move values pass integers through when the result has the input's scale.
4. Average pools, Add and Concat have integer kernels of their own, worth their rounding only in between two
   convolutions: when all inputs are integers already, and a quantized operator reads the result.
5. A table lookup reads int8 rows, and only what it found is dequantized.

Never: outputs of the model, masks, what goes into Softmax and LayerNormalization (int8 there costs 10 to 30 dB and
saves nothing). An Add of a transformer's residual path has float inputs, so rule 4 leaves it alone. Products of two
computed tensors (attention) stay float.
"""

from collections.abc import Collection

import onnx_ir as ir

from workers.quantization.graph.constants import float_constant_of
from workers.quantization.graph.weighted_operators import (
    LeftInFloat,
    WeightSite,
    is_candidate,
    is_standard,
    weight_site,
)
from workers.quantization.placement.integer_flow import (
    MOVES_VALUES,
    IntegerFlow,
    activation_follows,
    flow_through,
    is_dilated_pool,
)
from workers.quantization.placement.plan import (
    INSIDE_BODY,
    Exclusions,
    LayerDecision,
    Pair,
    Placement,
    Schemes,
    in_integers,
    left_in_float,
)
from workers.quantization.placement.rules import UINT8_BY_INT8
from workers.quantization.scheme import Scheme

_AT_OUTPUT = "Its result is an output of the model, and an integer convolution needs a quantized result."
_BEHIND_DILATED_POOL = "It reads an average pool with dilations, which ONNX Runtime cannot run between integers."


def place_for_onnxruntime_cpu(
    model: ir.Model,
    schemes: Schemes = UINT8_BY_INT8,
    *,
    op_types_to_exclude: Collection[str] = (),
    nodes_to_exclude: Collection[str] = (),
) -> Placement:
    """Apply rules 1 to 5. The model is read only."""
    graph, exclusions = model.graph, Exclusions.named(op_types_to_exclude, nodes_to_exclude)
    sites: list[WeightSite] = []
    decisions: list[LayerDecision] = []
    for node in (n for n in ir.traversal.RecursiveGraphIterator(graph) if is_candidate(n)):
        found = exclusions.of(node) or _site_in(graph, node, schemes.weights, exclusions)
        if isinstance(found, WeightSite):
            sites.append(found)
        decisions.append(_decided(node, found))
    flow = flow_through(graph, {s.node for s in sites}, excluded=exclusions.covers)
    decisions += [LayerDecision(n, t, quantized=True, reason=r) for n, t, r in flow.decisions]
    return Placement(tuple(sites), tuple(_pairs(graph, sites, flow, schemes.activations)), tuple(decisions))


def _site_in(graph: ir.Graph, node: ir.Node, scheme: Scheme, exclusions: Exclusions) -> WeightSite | LeftInFloat:
    if node.graph is not graph:
        return INSIDE_BODY
    if node.op_type != "Gather" and is_dilated_pool(_source(node)):
        return LeftInFloat(_BEHIND_DILATED_POOL)
    found = weight_site(node, scheme)
    if isinstance(found, WeightSite):
        return _refusal(node, found, exclusions) or found
    return found


def _refusal(node: ir.Node, site: WeightSite, exclusions: Exclusions) -> LeftInFloat | None:
    """Why these kernels cannot take an operator whose weight is fit to be quantized."""
    weight = float_constant_of(node.inputs[site.weight_input])
    assert weight is not None
    match node.op_type:
        case "Conv" if activation_follows(node, exclusions.covers).is_graph_output():
            return LeftInFloat(_AT_OUTPUT)
        case "Gemm" if node.attributes.get_int("transA", 0):
            return LeftInFloat("Its first input is transposed.")
        case "MatMul" if weight.ndim != 2:
            return LeftInFloat(f"Its weight has {weight.ndim} dimensions; the integer kernel takes 2.")
        case "ConvTranspose":
            return LeftInFloat("ONNX Runtime has no integer kernel for ConvTranspose on CPU.")
        case "Conv" | "Gemm":
            return _bias_refusal(node, site, channels=weight.shape[site.axis])
        case _:
            return None


def _source(node: ir.Node) -> ir.Node | None:
    """What computes the first input: operators that only move values have no say in it."""
    value = node.inputs[0]
    while value is not None and (producer := value.producer()) is not None:
        if producer.op_type not in MOVES_VALUES:
            return producer
        value = producer.inputs[0]
    return None


def _bias_refusal(node: ir.Node, site: WeightSite, *, channels: int) -> LeftInFloat | None:
    """An integer bias holds one constant for each output channel, nothing else."""
    if site.bias_input is None:
        return None
    bias = float_constant_of(node.inputs[site.bias_input])
    if bias is None:
        return LeftInFloat("Its bias is computed at run time.")
    return None if bias.shape == (channels,) else LeftInFloat("Its bias is not one per channel.")


def _decided(node: ir.Node, found: WeightSite | LeftInFloat) -> LayerDecision:
    if isinstance(found, LeftInFloat):
        return left_in_float(node, found)
    return in_integers(node, "int8 table." if node.op_type == "Gather" else "int8 weight and uint8 input.")


def _pairs(graph: ir.Graph, sites: list[WeightSite], flow: IntegerFlow, scheme: Scheme) -> list[Pair]:
    """One pair behind every integer tensor, and one before every weighted operator that reads a float tensor."""
    pairs = {tensor: Pair(tensor, scale_of, None, scheme) for tensor, scale_of in flow.scale_of.items()}
    multiplied = {s.node for s in sites if s.op_type != "Gather"}
    for node in graph:
        value = node.inputs[0] if node.inputs else None
        if node.name not in multiplied or not is_standard(node) or value is None or value.name is None:
            continue
        known = pairs.get(value.name)
        if known is None:
            pairs[value.name] = Pair(value.name, value.name, ((node.name, 0),), scheme)
        elif known.readers is not None:
            pairs[value.name] = Pair(value.name, value.name, (*known.readers, (node.name, 0)), scheme)
    return list(pairs.values())
