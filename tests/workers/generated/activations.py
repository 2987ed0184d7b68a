"""What stands between two layers."""

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from tests.workers.generated.builder import Builder, Value


def activated(b: Builder, x: Value) -> Value:
    kinds: list[Callable[[], Value]] = [
        lambda: b.node("Relu", [x], x.shape),
        lambda: b.node("Relu", [x], x.shape),
        lambda: b.node("Sigmoid", [x], x.shape),
        lambda: b.node("Tanh", [x], x.shape),
        lambda: b.node("LeakyRelu", [x], x.shape, alpha=0.1),
        lambda: b.node("Elu", [x], x.shape),
        lambda: b.node("Softplus", [x], x.shape),
        lambda: b.node("HardSigmoid", [x], x.shape),
        lambda: b.node("Abs", [x], x.shape),
        lambda: b.node("Mul", [x, b.node("Sigmoid", [x], x.shape)], x.shape),
        lambda: gelu(b, x),
        lambda: clipped(b, x),
        lambda: b.node("Where", [b.node("Cast", [b.node("Floor", [x])], to=TensorProto.BOOL), x, b.vector(1)], x.shape),
    ]
    if b.opset >= 14:
        kinds.append(lambda: b.node("HardSwish", [x], x.shape))
    return b.pick(*kinds)()  # type: ignore[no-any-return]


def gelu(b: Builder, x: Value) -> Value:
    if b.opset >= 20:
        return b.node("Gelu", [x], x.shape, approximate=b.pick("none", "tanh"))
    inner = b.node("Div", [x, b.constant(np.float32(np.sqrt(2)))], x.shape)
    one = b.node("Add", [b.node("Erf", [inner], x.shape), b.constant(np.float32(1))], x.shape)
    return b.node("Mul", [b.node("Mul", [x, one], x.shape), b.constant(np.float32(0.5))], x.shape)


def clipped(b: Builder, x: Value) -> Value:
    low, high = b.pick((0.0, 6.0), (-1.0, 1.0), (0.25, 3.0))
    if b.opset < 11:
        return b.node("Clip", [x], x.shape, min=low, max=high)
    return b.node("Clip", [x, b.constant(np.float32(low)), b.constant(np.float32(high))], x.shape)
