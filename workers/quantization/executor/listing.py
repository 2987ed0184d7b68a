"""A graph as a list of calls: every node bound to its row of the table, constants and other names of values apart."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from workers.quantization.executor.element_types import TORCH_OF_ONNX, ElementTypeNotSupported, to_torch
from workers.quantization.executor.executor import Array, OperatorNotSupported
from workers.quantization.executor.expansion import FROM_A_DEFINITION, STANDARD_DOMAINS, expanded, opset_of
from workers.quantization.executor.operators import TABLE
from workers.quantization.executor.operators.entry import Attributes, Entry, lookup


@dataclass(frozen=True)
class Call:
    """One node: `entry` applied to `inputs` (None: an optional one left out) gives `outputs` ("": not wanted)."""

    node: str
    operator: str
    entry: Entry
    attributes: Attributes
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]

    def data_inputs(self) -> Iterator[str]:
        """The inputs that arrive as tensors where the call runs."""
        elsewhere = {*self.entry.numbers, *self.entry.on_host}
        return (name for i, name in enumerate(self.inputs) if name is not None and i not in elsewhere)

    def host_inputs(self) -> Iterator[str]:
        """The inputs that must be known on the host."""
        places = (*self.entry.numbers, *self.entry.on_host)
        return (name for i in places if i < len(self.inputs) and (name := self.inputs[i]) is not None)


@dataclass
class Listing:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    calls: list[Call] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    """Initializers, and what Constant nodes hold: the same to everyone who reads them."""
    definitions: set[str] = field(default_factory=set)
    """The constants among them that came out of an operator's definition."""
    aliases: dict[str, str] = field(default_factory=dict)
    """The outputs of Identity nodes, each with the value it is another name of."""

    def known(self) -> Iterator[str]:
        """The name of every value."""
        yield from self.inputs
        yield from self.constants
        yield from self.aliases
        yield from (name for call in self.calls for name in call.outputs if name)


def list_calls(model: ir.Model) -> Listing:
    """Raises OperatorNotSupported for the first node that cannot be run."""
    listing, refused = _read(model)
    if refused:
        raise refused[0]
    return listing


def unsupported_operators(model: ir.Model) -> tuple[OperatorNotSupported, ...]:
    """Every node that neither the table nor a function body covers, each with its reason."""
    return tuple(_read(model)[1])


def _read(model: ir.Model) -> tuple[Listing, list[OperatorNotSupported]]:
    model = expanded(model)
    graph = model.graph
    inputs = tuple(v.name or "" for v in graph.inputs if v.name not in graph.initializers)
    listing = Listing(inputs, tuple(v.name or "" for v in graph.outputs))
    refused = []
    for name, value in graph.initializers.items():
        if value.const_value is not None and value.const_value.dtype in TORCH_OF_ONNX:
            listing.constants[name] = value.const_value.numpy()
    for node in graph:
        try:
            _add(listing, node, opset_of(node, model.opset_imports))
        except OperatorNotSupported as refusal:
            refused.append(refusal)
    return listing, refused


def _add(listing: Listing, node: ir.Node, opset: int) -> None:
    """Raises OperatorNotSupported."""
    names = [v.name if v is not None else None for v in node.inputs]
    inputs = tuple(listing.aliases.get(n, n) if n else None for n in names)
    outputs = tuple(v.name or "" for v in node.outputs)
    if node.op_type == "Identity" and inputs[0] is not None:
        listing.aliases[outputs[0]] = inputs[0]
        return
    if node.op_type == "Constant" and node.domain in STANDARD_DOMAINS:
        listing.constants[outputs[0]] = _constant(node, opset)
        if FROM_A_DEFINITION in node.meta:
            listing.definitions.add(outputs[0])
        return
    entry = _entry(node, opset)
    attributes = _attributes(node, opset)
    reason = entry.refusal(attributes) or _strange_input(node)
    if reason is not None:
        raise _refusal(node, opset, reason)
    listing.calls.append(Call(node.name or outputs[0], node.op_type, entry, attributes, inputs, outputs))


def _entry(node: ir.Node, opset: int) -> Entry:
    entry = lookup(TABLE, node.op_type, opset) if node.domain in STANDARD_DOMAINS else None
    if entry is None:
        raise _refusal(node, opset)
    return entry


def _strange_input(node: ir.Node) -> str | None:
    """Weights and inputs say their types; of what is computed in between, Cast and its like are asked."""
    for value in node.inputs:
        if value is not None and value.producer() is None and value.dtype not in {None, *TORCH_OF_ONNX}:
            return f"torch does not compute with {str(value.dtype).lower()}, the type of {value.name}"
    return None


def _refusal(node: ir.Node, opset: int, reason: str | None = None) -> OperatorNotSupported:
    name = node.name or node.outputs[0].name or ""
    if reason is None:
        return OperatorNotSupported(node.op_type, node.domain, opset, name)
    return OperatorNotSupported(node.op_type, node.domain, opset, name, reason)


def _attributes(node: ir.Node, opset: int) -> dict[str, Any]:
    """Attribute values as Python's, tensors as torch's."""
    values: dict[str, Any] = {}
    for attribute in node.attributes.values():
        if attribute.type in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS, ir.AttributeType.SPARSE_TENSOR}:
            raise _refusal(node, opset, f"attribute {attribute.name} is of type {attribute.type.name.lower()}")
        value = attribute.value
        try:
            values[attribute.name] = to_torch(value.numpy()) if attribute.type == ir.AttributeType.TENSOR else value
        except ElementTypeNotSupported as error:
            raise _refusal(node, opset, str(error)) from error
    return values


def _constant(node: ir.Node, opset: int) -> Array:
    """What a Constant node holds, in whichever of its attributes."""
    (attribute,) = node.attributes.values()
    value: Any = attribute.value
    match attribute.name:
        case "value" if value.dtype in TORCH_OF_ONNX:
            array: Array = value.numpy()
            return array
        case "value_float" | "value_floats":
            return np.asarray(value, np.float32)
        case "value_int" | "value_ints":
            return np.asarray(value, np.int64)
        case _:
            raise _refusal(node, opset, f"attribute {attribute.name} holds what torch does not compute with")
