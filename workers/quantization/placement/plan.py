"""The outcome of a placement: what is quantized, where the pairs go, and why each operator was treated as it was."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import onnx_ir as ir

from workers.quantization.graph.weighted_operators import LeftInFloat, WeightSite
from workers.quantization.scheme import Scheme

Reader = tuple[str, int]
"""Name of a node and the index of its input."""

_EXCLUDED_TYPE = LeftInFloat("The recipe excludes this operator type.")
_EXCLUDED_NODE = LeftInFloat("The recipe excludes this node.")
INSIDE_BODY = LeftInFloat("It is inside the body of a control-flow operator.")


@dataclass(frozen=True)
class Pair:
    """A quantize/dequantize pair behind a tensor. Its scale is its own, or that of another tensor.

    A tensor may have several pairs, of different scales, if each names its readers.
    """

    tensor: str
    scale_of: str
    readers: tuple[Reader, ...] | None
    """Who reads the dequantized tensor; None: everybody."""
    scheme: Scheme
    """Which integers the tensor becomes; pairs that share a scale share it."""


@dataclass(frozen=True)
class Schemes:
    """Which integers activations and weights become, where neither a target nor a recipe says otherwise for one."""

    activations: Scheme
    weights: Scheme


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
        return tuple(self.scheme_of)

    def pair_of(self, tensor: str) -> Pair:
        """The first one behind a tensor that has any. Its scale may be another tensor's."""
        return next(pair for pair in self.pairs if pair.tensor == tensor)

    @property
    def weights_dtype(self) -> str:
        """What the weights become: one type, or several joined by a plus sign."""
        return "+".join(dict.fromkeys(site.scheme.dtype for site in self.weights))

    @property
    def scheme_of(self) -> dict[str, Scheme]:
        """The scheme of each of them."""
        return {pair.scale_of: pair.scheme for pair in self.pairs}


@dataclass(frozen=True)
class Exclusions:
    """What the recipe leaves in float. A name may be that of a node which a pass has removed since."""

    op_types: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()

    @classmethod
    def named(cls, op_types: Collection[str], nodes: Collection[str]) -> Self:
        return cls(frozenset(op_types), frozenset(nodes))

    def covers(self, node: ir.Node) -> bool:
        return self.of(node) is not None

    def of(self, node: ir.Node) -> LeftInFloat | None:
        if node.op_type in self.op_types:
            return _EXCLUDED_TYPE
        return _EXCLUDED_NODE if node.name in self.nodes else None


def left_in_float(node: ir.Node, why: LeftInFloat) -> LayerDecision:
    return LayerDecision(node.name or "", node.op_type, quantized=False, reason=why.reason)


def in_integers(node: ir.Node, reason: str) -> LayerDecision:
    return LayerDecision(node.name or "", node.op_type, quantized=True, reason=reason)
