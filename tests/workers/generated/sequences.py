"""Steps on sequences, [t, f] for each sample, and on vectors, [f]."""

from collections.abc import Callable

import numpy as np
from onnx import helper

from tests.workers.generated.activations import activated
from tests.workers.generated.builder import Builder, Value


def sequence_step(b: Builder, x: Value) -> Value:
    steps: list[Callable[[], Value]] = [lambda: linear(b, x)] * 3 + [
        lambda: activated(b, x),
        lambda: residual(b, x),
        lambda: attention(b, x),
        lambda: row_norm(b, x),
        lambda: recurrent(b, x),
        lambda: b.node("Softmax", [x], x.shape, axis=2 if b.opset < 13 else -1),
    ]
    return b.pick(*steps)()  # type: ignore[no-any-return]


def vector_step(b: Builder, x: Value) -> Value:
    steps: list[Callable[[], Value]] = [lambda: linear(b, x)] * 3 + [
        lambda: activated(b, x),
        lambda: residual(b, x),
        lambda: b.node("Mul", [x, b.vector(*x.shape, low=0.5, high=1.5)], x.shape),
    ]
    return b.pick(*steps)()  # type: ignore[no-any-return]


def linear(b: Builder, x: Value, out: int | None = None) -> Value:
    f = x.shape[-1]
    out = out or int(b.pick(8, 12, 16))
    shape = (*x.shape[:-1], out)
    if len(x.shape) == 1 and b.chance(0.5):
        turned = b.chance(0.5)
        weight = b.weight(*((out, f) if turned else (f, out)), fan=f)
        inputs = [x, weight, b.vector(out)] if b.opset < 11 or b.chance(0.7) else [x, weight]
        return b.node("Gemm", inputs, shape, transB=int(turned))
    axes = (1, f, out) if len(x.shape) == 2 and b.chance(0.15) else (f, out)
    product = b.node("MatMul", [x, b.weight(*axes, fan=f)], shape)
    return b.node("Add", [product, b.vector(out)], shape) if b.chance(0.7) else product


def attention(b: Builder, x: Value) -> Value:
    t, f = x.shape
    q, k, v = (linear(b, x, f) for _ in range(3))
    scores = b.node("MatMul", [q, b.node("Transpose", [k], (f, t), perm=[0, 2, 1])], (t, t))
    scaled = b.node("Mul", [scores, b.constant(np.float32(f**-0.5))], (t, t))
    shares = b.node("Softmax", [scaled], (t, t), axis=2 if b.opset < 13 else -1)
    return b.node("MatMul", [shares, v], x.shape)


def row_norm(b: Builder, x: Value) -> Value:
    f = x.shape[-1]
    scale, shift = b.vector(f, low=0.5, high=1.5), b.vector(f)
    if b.opset >= 17:
        return b.node("LayerNormalization", [x, scale, shift], x.shape, axis=-1)
    mean = b.reduced("ReduceMean", x, [2], (x.shape[0], 1))
    apart = b.node("Sub", [x, mean], x.shape)
    spread = b.reduced("ReduceMean", b.node("Mul", [apart, apart], x.shape), [2], (x.shape[0], 1))
    root = b.node("Sqrt", [b.node("Add", [spread, b.constant(np.float32(1e-5))])])
    return b.node("Add", [b.node("Mul", [b.node("Div", [apart, root]), scale]), shift], x.shape)


def recurrent(b: Builder, x: Value) -> Value:
    t, f = x.shape
    hidden, op = 6, b.pick("LSTM", "GRU")
    gates = 4 if op == "LSTM" else 3
    turned = b.node("Transpose", [x], perm=[1, 0, 2])
    names = [b.fresh()]
    inputs = [turned, b.weight(1, gates * hidden, f, fan=f), b.weight(1, gates * hidden, hidden, fan=hidden)]
    b.nodes.append(helper.make_node(op, inputs, names, name=f"{op}_{b.count}", hidden_size=hidden))
    squeezed = b.node("Reshape", [names[0], b.constant(np.array([t, -1, hidden]))])
    return b.node("Transpose", [squeezed], (t, hidden), perm=[1, 0, 2])


def residual(b: Builder, x: Value) -> Value:
    alike = [v for v in b.values if v.shape == x.shape and v.name != x.name]
    if not alike:
        return activated(b, x)
    return b.node(b.pick("Add", "Add", "Mul", "Sub"), [x, b.pick(*alike)], x.shape)
