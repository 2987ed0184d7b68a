"""Compute once what depends on constants alone.

    MatMul(x, Transpose(Cast(w)))  ->  MatMul(x, w')

Weights hide behind all kinds of operators: stored in float16 behind a Cast, transposed for an output layer, split, put
together, normalized (g * v / |v|), scaled. A runtime computes these when it loads the model; quantization has to see
what it will see.

Rules
1. An operator of the standard whose inputs are all constants -> its results, as ONNX Runtime computes them.
2. Not: what is drawn at random, what holds a graph, what gives out an output of the model.
3. Not: results of more than four times their inputs (int8 that is cast to float32) and 1 MiB, nor of an extent that
   cannot be told before; all together no more than four times the model's constants and 64 MiB.

requires: constants are initializers
ensures: outputs unchanged to the last bit; names of inputs, outputs and remaining nodes unchanged
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import helper, shape_inference

from workers.quantization.executor.executor import RuntimeRefused
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession
from workers.quantization.graph.constants import constant_of, drop_unused_initializers
from workers.quantization.graph.weighted_operators import is_standard

_DRAWN_AT_RANDOM = frozenset({
    "Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
})  # fmt: skip
_GROWTH = 4
_ALWAYS_FITS = 1 << 20
_FITS_IN_ALL = 64 << 20

_SAYS_SHAPES_BYTES = 1024
"""Up to this a constant may say shapes, axes or counts, which decide the extent of a result."""

_IR_VERSION = 8

Array = npt.NDArray[Any]


def fold_constants(model: ir.Model) -> list[str]:
    """Change `model` in place. Returns the names of the operators that are gone."""
    there_are = sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value is not None)
    folder = _Folder(model, room=max(_FITS_IN_ALL, _GROWTH * there_are))
    folded = [node.name or "" for node in list(model.graph) if folder.fold(node)]
    if folded:
        drop_unused_initializers(model.graph)
    return folded


@dataclass
class _Folder:
    model: ir.Model
    room: int
    """Bytes that results may still take, all together."""

    def fold(self, node: ir.Node) -> bool:
        inputs = self._inputs(node)
        if inputs is None:
            return False
        alone = _Alone.of(node, inputs, opset=self.model.opset_imports[""])
        if not 0 <= alone.result_bytes() <= min(self.room, _GROWTH * alone.input_bytes + _ALWAYS_FITS):
            return False
        results = alone.results()
        if results is None:
            return False
        self.room -= sum(result.nbytes for result in results)
        self._replace(node, results)
        return True

    def _inputs(self, node: ir.Node) -> list[Array | None] | None:
        """None where one is not a constant, or the operator may not go."""
        if not is_standard(node) or not node.inputs or node.op_type in _DRAWN_AT_RANDOM:
            return None
        if any(a.type in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS} for a in node.attributes.values()):
            return None
        if any(value.is_graph_output() for value in node.outputs):
            return None
        if any(value is not None and not _is_constant(value) for value in node.inputs):
            return None
        return [constant_of(value) for value in node.inputs]

    def _replace(self, node: ir.Node, results: list[Array]) -> None:
        graph = self.model.graph
        for value, result in zip([v for v in node.outputs if v.name], results, strict=True):
            name = value.name
            constant = ir.val(name, const_value=ir.tensor(result, name=name))
            ir.convenience.replace_all_uses_with(value, constant)
            value.name = None
            graph.register_initializer(constant)
        graph.remove(node, safe=True)
        drop_unused_initializers(graph)


def _is_constant(value: ir.Value) -> bool:
    return value.is_initializer() and not value.is_graph_input() and value.const_value is not None


@dataclass(frozen=True)
class _Alone:
    """One operator as a model of its own: small constants in it, the others as its inputs."""

    model: onnx.ModelProto
    feeds: dict[str, Array]
    input_bytes: int

    @classmethod
    def of(cls, node: ir.Node, inputs: list[Array | None], *, opset: int) -> "_Alone":
        proto = ir.to_proto(node)
        proto.name = ""
        arrays = {f"x{i}": array for i, array in enumerate(inputs) if array is not None}
        for index, array in enumerate(inputs):
            proto.input[index] = "" if array is None else f"x{index}"
        inside = {name: a for name, a in arrays.items() if a.nbytes <= _SAYS_SHAPES_BYTES or not _is_plain(a)}
        graph = helper.make_graph(
            [proto],
            "alone",
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
                for name, a in arrays.items()
                if name not in inside
            ],
            [onnx.ValueInfoProto(name=name) for name in proto.output if name],
            [ir.to_proto(ir.tensor(a, name=name)) for name, a in inside.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=_IR_VERSION)
        feeds = {name: a for name, a in arrays.items() if name not in inside}
        return cls(model, feeds, sum(a.nbytes for a in arrays.values()))

    def result_bytes(self) -> int:
        """-1 where it cannot be told."""
        try:
            inferred = shape_inference.infer_shapes(self.model, data_prop=True, strict_mode=True)
        except (shape_inference.InferenceError, RuntimeError, ValueError):
            return -1
        total = 0
        for output in inferred.graph.output:
            kind = output.type.tensor_type
            extents = [d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim]
            if not kind.elem_type or not kind.HasField("shape") or min(extents, default=0) < 0:
                return -1
            total += -(-ir.DataType(kind.elem_type).bitwidth * math.prod(extents) // 8)
        self.model.graph.CopyFrom(inferred.graph)
        return total

    def results(self) -> list[Array] | None:
        """None where ONNX Runtime cannot compute it alone."""
        try:
            found = OnnxRuntimeSession(self.model.SerializeToString(), threads=1, optimized=False).run(self.feeds)
        except RuntimeRefused:
            return None
        arrays = list(found.values())
        return arrays if all(isinstance(array, np.ndarray) for array in arrays) else None


def _is_plain(array: Array) -> bool:
    """Of a type that numpy itself has, which can be handed to the runtime as it is."""
    return array.dtype.isbuiltin == 1 and array.dtype.kind in "biuf"
