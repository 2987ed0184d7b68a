"""The parts of a small model that is being made up: nodes, constants, and weights as exporters leave them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SAMPLES = 48
BATCH = "n"


@dataclass(frozen=True)
class Generated:
    model: onnx.ModelProto
    data: dict[str, Any]
    """[samples, ..] by input."""


@dataclass(frozen=True)
class Value:
    name: str
    shape: tuple[int, ...]
    """Without the samples."""


@dataclass
class Builder:
    rng: np.random.Generator
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)
    weights: dict[tuple[int, ...], list[str]] = field(default_factory=dict)
    prefix: str = ""
    count: int = 0

    def pick(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def fresh(self) -> str:
        self.count += 1
        return f"{self.prefix}t{self.count}"

    def node(self, op: str, inputs: Any, shape: Any = None, *, outputs: int = 1, **attributes: Any) -> Any:
        names = [self.fresh() for _ in range(outputs)]
        given = [v.name if isinstance(v, Value) else v for v in inputs]
        called = "" if self.chance(0.2) else f"{self.prefix}{op}_{self.count}"
        self.nodes.append(helper.make_node(op, given, names, name=called, **attributes))
        found = [Value(name, tuple(shape)) if shape is not None else name for name in names]
        return found[0] if outputs == 1 else found

    def constant(self, array: Any) -> str:
        array = np.asarray(array)
        if self.chance(0.15):
            name = self.fresh()
            self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array)))
            return name
        name = f"{self.prefix}c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, *shape: int, fan: int) -> str:
        """One that multiplies: as it is, or made at load time from what is stored."""
        if self.weights.get(shape) and self.chance(0.25):
            return self.pick(*self.weights[shape])  # type: ignore[no-any-return]
        array = (self.rng.normal(size=shape) * np.sqrt(1.5 / fan)).astype(np.float32)
        name = self.stored(array)
        self.weights.setdefault(shape, []).append(name)
        return name

    def stored(self, array: Any) -> str:
        how = self.pick("plain", "plain", "plain", "half", "turned", "shaped", "scaled", "split", "joined", "named")
        if how in {"turned", "split", "joined"} and (array.shape[0] < 2 or (how == "split" and self.opset < 13)):
            how = "plain"
        stored: dict[str, Callable[[], str]] = {
            "plain": lambda: self.constant(array),
            "named": lambda: self.node("Identity", [self.constant(array)]),
            "half": lambda: self.node("Cast", [self.constant(array.astype(np.float16))], to=TensorProto.FLOAT),
            "turned": lambda: self._turned_weight(array),
            "shaped": lambda: self.node("Reshape", [self.constant(array.reshape(-1)), self.constant([*array.shape])]),
            "scaled": lambda: self.node("Mul", [self.constant(array * 2), self.constant(np.float32(0.5))]),
            "split": lambda: self._split_weight(array),
            "joined": lambda: self.node("Concat", [self.constant(a) for a in np.array_split(array, 2)], axis=0),
        }
        return stored[how]()

    def _turned_weight(self, array: Any) -> str:
        axes = self.rng.permutation(array.ndim)
        kept = self.constant(np.ascontiguousarray(array.transpose(axes)))
        return self.node("Transpose", [kept], perm=[int(a) for a in np.argsort(axes)])  # type: ignore[no-any-return]

    def _split_weight(self, array: Any) -> str:
        both = self.constant(np.concatenate([array, array]))
        sizes = self.constant([array.shape[0]] * 2)
        return self.node("Split", [both, sizes], outputs=2, axis=0)[0]  # type: ignore[no-any-return]

    def vector(self, *shape: int, low: float = -0.5, high: float = 0.5) -> str:
        return self.constant(self.rng.uniform(low, high, shape).astype(np.float32))

    def input(self, *shape: int) -> Value:
        name = f"{self.prefix}in{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *shape]))
        scale = self.rng.uniform(0.5, 2.0, (1, *shape))
        self.data[name] = (self.rng.normal(size=(SAMPLES, *shape)) * scale).astype(np.float32)
        return Value(name, shape)

    def give_out(self, value: Value) -> None:
        if value.name not in {o.name for o in self.outputs}:
            self.outputs.append(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, [BATCH, *value.shape]))

    def reduced(self, op: str, value: Value, axes: list[int], shape: Any) -> Value:
        if self.opset < 18:
            return self.node(op, [value], shape, axes=axes, keepdims=int(len(shape) == len(value.shape)))
        keeps = int(len(shape) == len(value.shape))
        return self.node(op, [value, self.constant(np.array(axes))], shape, keepdims=keeps)
