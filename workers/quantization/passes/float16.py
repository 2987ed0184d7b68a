"""Compute in float16, between inputs and outputs that stay float32.

Rules
1. operator -> float16 in every input and output whose type variable allows it (`half.slots`), unless what constants and
   integers make of its values needs float32 (`half.plan`)
2. float32 initializer -> float16, clamped to +-65504 where it is a mask or a limit; both copies where operators of both
   types read it
3. float32 value read as float16 -> Clip(-65504, 65504), Cast: an input, or what an operator left in float32 computes.
   Without the Clip an attention mask of -3.4e38 would become -inf, and a row of nothing else NaN.
4. float16 value read as float32, or given out by the graph -> Cast

requires: opset >= 13; `lift_constants` ran; standard operators, or types given for what others write
ensures: names, types and shapes of inputs and outputs unchanged, names of remaining nodes too
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from workers.quantization.graph.constants import add_constant, drop_unused_initializers, float_constant_of
from workers.quantization.half.constants import LARGEST, Misfit, to_float16
from workers.quantization.half.plan import half_plan
from workers.quantization.half.slots import KEPT_IN_FLOAT32, HalfSlots, KeptInFloat32, is_float32


class TypesUnknown(ValueError):
    """The type of a value can neither be read nor inferred, so that no cast can be placed."""


@dataclass(frozen=True)
class Float16Report:
    """What a reader of the result must know beside the file."""

    misfits: dict[str, tuple[Misfit, ...]]
    """Constants that do not fit float16, by name."""
    kept: dict[str, str]
    """Operators that stay float32, by name, and why."""


def cast_to_float16(
    model: ir.Model, *, op_types_to_keep: Collection[str] = KEPT_IN_FLOAT32, nodes_to_keep: Collection[str] = ()
) -> Float16Report:
    """Change `model` in place. Raises TypesUnknown.

    Error bound: none in general. Each operator rounds to 2^-11 relative, and what activations make larger than
    65504 overflows to infinity.
    """
    _infer_types(model)
    plan = half_plan(model, op_types_to_keep=op_types_to_keep, nodes_to_keep=nodes_to_keep)
    cast = _Caster(model.graph, {node: slots for node, slots in plan.items() if isinstance(slots, HalfSlots)})
    cast.write_nodes()
    for value in [*model.graph.inputs, *list(model.graph.initializers.values())]:
        cast.lower(value)
    for node in plan:
        for index, value in enumerate(node.outputs):
            if index in cast.outputs_of(node):
                cast.raise_again(node, value)
            else:
                cast.lower(value)
    drop_unused_initializers(model.graph)
    return Float16Report(
        cast.misfits, {n.name or "": s.reason for n, s in plan.items() if isinstance(s, KeptInFloat32)}
    )


def _infer_types(model: ir.Model) -> None:
    common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=False)(model)
    for value in model.graph.initializers.values():
        if value.dtype is None and value.const_value is not None:
            value.dtype = value.const_value.dtype
    unknown = [v.name for node in model.graph for v in node.outputs if v.name and v.type is None]
    if unknown:
        raise TypesUnknown(f"The types of {', '.join(map(str, unknown[:5]))} are unknown: add them as value_info.")


class _Caster:
    """Puts the casts where the two types meet; each value is cast once, whoever reads it."""

    def __init__(self, graph: ir.Graph, slots: dict[ir.Node, HalfSlots]) -> None:
        self._graph = graph
        self._slots = slots
        self._limits: tuple[ir.Value, ir.Value] | None = None
        self._names = {v.name for v in (*graph.inputs, *graph.initializers.values()) if v.name}
        self._names |= {name for node in graph for name in (node.name, *(v.name for v in node.outputs)) if name}
        self.misfits: dict[str, tuple[Misfit, ...]] = {}

    def outputs_of(self, node: ir.Node) -> frozenset[int]:
        return self._slots[node].outputs if node in self._slots else frozenset()

    def write_nodes(self) -> None:
        """Rule 1: the attributes that name a type."""
        for node, slots in self._slots.items():
            if 0 not in slots.outputs:
                continue
            if node.op_type == "Cast":
                node.attributes["to"] = ir.AttrInt64("to", ir.DataType.FLOAT16)
            elif node.op_type == "ConstantOfShape":
                given = node.attributes.get("value")
                fill = given.as_tensor().numpy() if given is not None else np.zeros(1, np.float32)
                array = self._half(node.name or "", fill)
                node.attributes["value"] = ir.AttrTensor("value", ir.tensor(array))

    def lower(self, value: ir.Value) -> None:
        """Rules 2 and 3: a float16 copy of a float32 value for those who read it as float16."""
        readers = [use for use in value.uses() if self._reads_half(use.node, use.idx)]
        if not is_float32(value) or not readers:
            return
        constant = float_constant_of(value)
        if constant is not None:
            half = add_constant(
                self._graph, self._name(f"{value.name}_float16"), self._half(value.name or "", constant)
            )
        else:
            half = self._clip_and_cast(value)
        for use in readers:
            use.node.replace_input_with(use.idx, half)

    def raise_again(self, node: ir.Node, value: ir.Value) -> None:
        """Rule 4: the float16 value that `node` now writes, as float32 for those who want it so."""
        value.dtype = ir.DataType.FLOAT16
        readers = [use for use in value.uses() if not self._reads_half(use.node, use.idx)]
        if not readers and not value.is_graph_output():
            return
        cast = ir.node("Cast", [value], {"to": ir.DataType.FLOAT}, name=self._name(f"{value.name}_to_float32"))
        single = cast.outputs[0]
        single.name, single.shape = self._name(f"{value.name}_float32"), value.shape
        single.type = ir.TensorType(ir.DataType.FLOAT)
        for use in readers:
            use.node.replace_input_with(use.idx, single)
        for index, output in enumerate(self._graph.outputs):
            if output is value:
                self._graph.outputs[index] = single
                single.name, value.name = value.name, self._name(f"{value.name}_float16")
        self._graph.insert_after(node, cast)

    def _reads_half(self, node: ir.Node, index: int) -> bool:
        return node in self._slots and index in self._slots[node].inputs

    def _name(self, wanted: str) -> str:
        number, name = 1, wanted
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name

    def _clip_and_cast(self, value: ir.Value) -> ir.Value:
        if self._limits is None:
            low, high = np.array(-LARGEST, np.float32), np.array(LARGEST, np.float32)
            self._limits = (
                add_constant(self._graph, self._name("float16_min"), low),
                add_constant(self._graph, self._name("float16_max"), high),
            )
        clip = ir.node("Clip", [value, *self._limits], name=self._name(f"{value.name}_clip"))
        cast = ir.node("Cast", clip.outputs, {"to": ir.DataType.FLOAT16}, name=self._name(f"{value.name}_to_float16"))
        for output, suffix, dtype in (
            (clip.outputs[0], "clipped", ir.DataType.FLOAT),
            (cast.outputs[0], "float16", ir.DataType.FLOAT16),
        ):
            output.name, output.shape = self._name(f"{value.name}_{suffix}"), value.shape
            output.type = ir.TensorType(dtype)
        producer = value.producer()
        if producer is None:
            self._graph.insert_before(self._graph[0], [clip, cast])
        else:
            self._graph.insert_after(producer, [clip, cast])
        return cast.outputs[0]

    def _half(self, name: str, array: np.ndarray) -> np.ndarray:
        half, misfits = to_float16(array)
        if misfits:
            self.misfits[name] = misfits
        return half
