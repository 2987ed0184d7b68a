"""How large values are, as constants and integers tell, and which operators need float32 for it.

Without data nobody knows the range of an activation. But a factor of 1e7 makes it large, an epsilon of 1e-12 must stay
above zero, and what was an integer may be a time step of 999. Such values are followed until something ends it.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from workers.quantization.graph.constants import float_constant_of
from workers.quantization.graph.weighted_operators import is_standard
from workers.quantization.half.counts import divides_by_count, is_tame, makes_count, stays_count, takes_count
from workers.quantization.half.delicate import makes_delicate, stays_delicate, takes_delicate
from workers.quantization.half.exponents import exponent
from workers.quantization.half.masks import saturating
from workers.quantization.half.operators import ADDS, BOUNDS, LIMITS, MULTIPLIES_WEIGHTS
from workers.quantization.half.size import HIGHEST, LOWEST, ORDINARY, Size, misfit, size_of_constant
from workers.quantization.half.slots import is_float32

COUNTS = "It computes with integers that became floats: float16 counts to 2048."
DIVIDES_BY_COUNT = "It divides by a count, which may be beyond 65504."
DELICATE = "It computes with a sum, a square or an epsilon near a division."
SCALED = "Constants make its values too large or too small for float16."

_CHOOSES = frozenset({"Where", "Gather", "GatherElements", "GatherND", "Compress"})
"""What these take from constants is data: an embedding, or 0 and -1e9 as a mask says."""

_DIVISORS = frozenset({("Div", 1), ("Mod", 1), ("Pow", 0)})


class Sizes:
    """Goes through a graph in its order; each node is asked once."""

    def __init__(self, graph: ir.Graph) -> None:
        self._saturating = saturating(graph)
        self._sizes: dict[ir.Value, Size] = {}

    def reason_for_float32(self, node: ir.Node, half_inputs: frozenset[int]) -> str | None:
        """Why `node`, which could read `half_inputs` as float16, must not; None if it may. Notes what it writes."""
        if not is_standard(node):
            return None
        size, reason = self._judged(node, half_inputs)
        if reason is None and size.is_wide:
            size = replace(size, exponent=0.0)  # what it reads is clipped
        self._sizes.update(dict.fromkeys(node.outputs, size))
        return reason

    def _judged(self, node: ir.Node, half_inputs: frozenset[int]) -> tuple[Size, str | None]:
        if makes_count(node):
            return Size(count=True), COUNTS
        if node.op_type == "ConstantOfShape" and is_float32(node.outputs[0]):
            return self._judged_fill(node)
        read = {i: self._size(v) for i, v in enumerate(node.inputs) if v is not None and is_float32(v)}
        if not read:
            return ORDINARY, None
        fixed, count = _is_fixed(node, read), stays_count(node, read)
        size = Size(
            exponent=0.0 if count else exponent(node, read),
            delicate=makes_delicate(node, read) or stays_delicate(node, read),
            count=count,
            tame=is_tame(node, read),
            fixed=fixed,
            vanishes=fixed and any(s.vanishes for s in read.values()),
        )
        return size, self._unfit_constant(node, half_inputs) or self._by_size(node, read, size)

    def _by_size(self, node: ir.Node, read: dict[int, Size], size: Size) -> str | None:
        if divides_by_count(node, read):
            return DIVIDES_BY_COUNT
        if takes_count(node, read):
            return COUNTS
        if size.delicate or takes_delicate(node, read):
            return DELICATE
        return SCALED if self._is_scaled(node, read, size) else None

    def _is_scaled(self, node: ir.Node, read: dict[int, Size], size: Size) -> bool:
        reads_wide = node.op_type not in ADDS and any(s.is_wide and not s.fixed for s in read.values())
        return reads_wide or (size.is_wide and not self._saturates(node))

    def _judged_fill(self, node: ir.Node) -> tuple[Size, str | None]:
        given = node.attributes.get("value")
        fill = given.as_tensor().numpy() if given is not None else np.zeros(1, np.float32)
        size = size_of_constant(fill)
        limits = all(use.node.op_type in LIMITS for use in node.outputs[0].uses())
        if size.exponent > HIGHEST and (limits or self._saturates(node)):
            return size, None
        return size, misfit("It fills with", fill)

    def _unfit_constant(self, node: ir.Node, half_inputs: frozenset[int]) -> str | None:
        """The first constant that float16 does not hold well enough for what `node` does with it."""
        constants = ((i, node.inputs[i], float_constant_of(node.inputs[i])) for i in sorted(half_inputs))
        reasons = (self._unfit(node, i, value, x) for i, value, x in constants if value is not None and x is not None)
        return next((reason for reason in reasons if reason is not None), None)

    def _unfit(self, node: ir.Node, index: int, value: ir.Value, x: npt.NDArray[np.float32]) -> str | None:
        size = self._size(value)
        limits_or_masks = node.op_type in LIMITS or (node.op_type in ADDS and self._saturates(node))
        if size.exponent > HIGHEST and limits_or_masks:
            return None
        if size.exponent < LOWEST and index >= 2 and node.op_type in MULTIPLIES_WEIGHTS | BOUNDS:
            return None  # a bias that is next to nothing
        return misfit(f"Its constant {value.name} has", x, divides=(node.op_type, index) in _DIVISORS)

    def _saturates(self, node: ir.Node) -> bool:
        return all(v in self._saturating for v in node.outputs)

    def _size(self, value: ir.Value) -> Size:
        if value not in self._sizes:
            constant = float_constant_of(value)
            self._sizes[value] = ORDINARY if constant is None else size_of_constant(constant)
        return self._sizes[value]


def _is_fixed(node: ir.Node, read: dict[int, Size]) -> bool:
    if node.op_type in _CHOOSES and not all(v is None or v.is_initializer() for v in node.inputs):
        return False
    return all(s.fixed for s in read.values())
