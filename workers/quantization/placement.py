"""Which tensors of a graph become integers, for ONNX Runtime's CPU kernels.

What these kernels take, read off the optimised graphs that ONNX Runtime writes (tests hold it to this):

1. MatMul and Gemm run in integers when input and weight come from DequantizeLinear; the result may stay float.
2. Conv does so only when its result is quantized as well. A Relu or Clip behind it is absorbed if the quantize follows.
3. MaxPool and operators that only move values pass integers through when the result has the input's scale.
4. Average pools, Add and Concat have integer kernels of their own, worth their rounding only in between two
   convolutions: when all inputs are integers already, and a quantized operator reads the result.
5. A table lookup reads int8 rows, and only what it found is dequantized.

Never: outputs of the model, masks, what goes into Softmax and LayerNormalization (int8 there costs 10 to 30 dB and
saves nothing). An Add of a transformer's residual path has float inputs, so rule 4 leaves it alone.
"""

from collections.abc import Collection
from dataclasses import dataclass

import onnx_ir as ir

from workers.quantization.integer_flow import IntegerFlow, activation_follows, flow_through
from workers.quantization.weighted_operators import LeftInFloat, WeightSite, is_candidate, is_standard, weight_site

Reader = tuple[str, int]
"""Name of a node and the index of its input."""

_EXCLUDED_TYPE = "The recipe excludes this operator type."
_EXCLUDED_NODE = "The recipe excludes this node."
_INSIDE_BODY = "It is inside the body of a control-flow operator."
_AT_OUTPUT = "Its result is an output of the model, and an integer convolution needs a quantized result."


class NodeNotInModel(Exception):
    """The recipe excludes a node that is not there; the message is its name."""


@dataclass(frozen=True)
class Pair:
    """A quantize/dequantize pair behind a tensor. Its scale is its own, or that of another tensor."""

    tensor: str
    scale_of: str
    readers: tuple[Reader, ...] | None
    """Who reads the dequantized tensor; None: everybody."""


@dataclass(frozen=True)
class LayerDecision:
    node: str
    op_type: str
    quantized: bool
    reason: str


@dataclass(frozen=True)
class Placement:
    weights: tuple[WeightSite, ...]
    pairs: tuple[Pair, ...]
    decisions: tuple[LayerDecision, ...]

    @property
    def observed(self) -> tuple[str, ...]:
        """The tensors whose range has to be known, each once."""
        return tuple(dict.fromkeys(pair.scale_of for pair in self.pairs))


def place(
    model: ir.Model, *, op_types_to_exclude: Collection[str] = (), nodes_to_exclude: Collection[str] = ()
) -> Placement:
    """Decide for every operator. The model is read only. Raises NodeNotInModel."""
    _refuse_unknown(model, nodes_to_exclude)
    exclusions = _Exclusions(frozenset(op_types_to_exclude), frozenset(nodes_to_exclude))
    sites: list[WeightSite] = []
    decisions: list[LayerDecision] = []
    for node in (n for n in ir.traversal.RecursiveGraphIterator(model.graph) if is_candidate(n)):
        found = exclusions.of(node) or _site_in(model.graph, node)
        if isinstance(found, WeightSite):
            sites.append(found)
        decisions.append(_decided(node, found))
    flow = flow_through(model.graph, {s.node for s in sites}, excluded=lambda n: exclusions.of(n) is not None)
    decisions += [LayerDecision(n, t, quantized=True, reason=r) for n, t, r in flow.decisions]
    return Placement(tuple(sites), tuple(_pairs(model.graph, sites, flow)), tuple(decisions))


@dataclass(frozen=True)
class _Exclusions:
    op_types: frozenset[str]
    nodes: frozenset[str]

    def of(self, node: ir.Node) -> LeftInFloat | None:
        if node.op_type in self.op_types:
            return LeftInFloat(_EXCLUDED_TYPE)
        return LeftInFloat(_EXCLUDED_NODE) if node.name in self.nodes else None


def _refuse_unknown(model: ir.Model, nodes: Collection[str]) -> None:
    known = {n.name for n in ir.traversal.RecursiveGraphIterator(model.graph)}
    unknown = next((name for name in nodes if name not in known), None)
    if unknown is not None:
        raise NodeNotInModel(unknown)


def _site_in(graph: ir.Graph, node: ir.Node) -> WeightSite | LeftInFloat:
    if node.graph is not graph:
        return LeftInFloat(_INSIDE_BODY)
    found = weight_site(node)
    if node.op_type == "Conv" and isinstance(found, WeightSite) and activation_follows(node).is_graph_output():
        return LeftInFloat(_AT_OUTPUT)
    return found


def _decided(node: ir.Node, found: WeightSite | LeftInFloat) -> LayerDecision:
    if isinstance(found, LeftInFloat):
        return LayerDecision(node.name or "", node.op_type, quantized=False, reason=found.reason)
    reason = "int8 table." if node.op_type == "Gather" else "int8 weight and uint8 input."
    return LayerDecision(node.name or "", node.op_type, quantized=True, reason=reason)


def _pairs(graph: ir.Graph, sites: list[WeightSite], flow: IntegerFlow) -> list[Pair]:
    """One pair behind every integer tensor, and one before every weighted operator that reads a float tensor."""
    pairs = {tensor: Pair(tensor, scale_of, None) for tensor, scale_of in flow.scale_of.items()}
    multiplied = {s.node for s in sites if s.op_type != "Gather"}
    for node in graph:
        value = node.inputs[0] if node.inputs else None
        if node.name not in multiplied or not is_standard(node) or value is None or value.name is None:
            continue
        known = pairs.get(value.name)
        if known is None:
            pairs[value.name] = Pair(value.name, value.name, ((node.name, 0),))
        elif known.readers is not None:
            pairs[value.name] = Pair(value.name, value.name, (*known.readers, (node.name, 0)))
    return list(pairs.values())
