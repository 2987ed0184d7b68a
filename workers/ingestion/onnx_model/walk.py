"""Visiting every message of an ONNX file, wherever it hides: subgraphs, functions, attributes, training data."""

from collections.abc import Iterator
from typing import TypeVar

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]  # protobuf ships no types

M = TypeVar("M", bound=Message)


def every(message: Message, kind: type[M]) -> Iterator[M]:
    """All messages of `kind` below `message`, by reflection: a field that ONNX adds later is visited too."""
    pending: list[Message] = [message]
    while pending:
        current = pending.pop()
        if isinstance(current, kind):
            yield current
        for descriptor, value in current.ListFields():
            if descriptor.message_type is None:
                continue
            children = [value] if isinstance(value, Message) else value
            pending.extend(child for child in children if isinstance(child, Message))


def holds_broken_text(model: onnx.ModelProto) -> bool:
    """True when some name is not UTF-8: protobuf then hands out bytes where everybody expects a string."""
    return any(
        isinstance(text, bytes)
        for message in every(model, Message)
        for descriptor, value in message.ListFields()
        if descriptor.type == descriptor.TYPE_STRING
        for text in ([value] if isinstance(value, str | bytes) else value)
    )


def every_tensor(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    return every(model, onnx.TensorProto)


def every_node(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    return every(model, onnx.NodeProto)
