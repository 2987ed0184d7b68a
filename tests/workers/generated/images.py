"""Steps on images, [c, h, w] for each sample."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.workers.generated.activations import activated
from tests.workers.generated.builder import Builder, Value
from tests.workers.generated.sequences import residual


def image_step(b: Builder, x: Value) -> Value:
    c, h, w = x.shape
    steps: list[Callable[[], Value]] = [lambda: conv(b, x)] * 4 + [
        lambda: activated(b, x),
        lambda: norm(b, x),
        lambda: b.node("Add", [x, b.vector(c, 1, 1)], x.shape),
        lambda: residual(b, x),
        lambda: gate(b, x),
        lambda: turned(b, x),
    ]
    if min(h, w) >= 4:
        steps += [lambda: pool(b, x), lambda: padded(b, x), lambda: sliced(b, x)]
    if max(h, w) <= 12 and b.opset >= 11:
        steps.append(lambda: resized(b, x))
    if c % 2 == 0 and b.opset >= 13:
        steps.append(lambda: shuffled(b, x))
    return b.pick(*steps)()  # type: ignore[no-any-return]


def conv(b: Builder, x: Value) -> Value:
    c, h, w = x.shape
    kernel = b.pick(1, 3, 3) if min(h, w) >= 3 else 1
    depthwise = b.chance(0.2)
    out = c if depthwise else int(b.pick(4, 8, 12))
    group = c if depthwise else 1
    inputs: list[Any] = [x, b.weight(out, c // group, kernel, kernel, fan=c // group * kernel * kernel)]
    if b.chance(0.6):
        inputs.append(b.vector(out))
    stride = b.pick(1, 1, 2) if min(h, w) >= 6 else 1
    pad = kernel // 2
    extents = [(e + 2 * pad - kernel) // stride + 1 for e in (h, w)]
    return b.node(
        "Conv", inputs, (out, *extents), group=group, strides=[stride] * 2, pads=[pad] * 4,
        kernel_shape=[kernel] * 2,
    )  # fmt: skip


def norm(b: Builder, x: Value) -> Value:
    c = x.shape[0]
    scale, shift = b.vector(c, low=0.5, high=1.5), b.vector(c)
    if b.chance(0.3):
        return b.node("InstanceNormalization", [x, scale, shift], x.shape)
    mean, variance = b.vector(c), b.vector(c, low=0.5, high=2.0)
    return b.node("BatchNormalization", [x, scale, shift, mean, variance], x.shape)


def pool(b: Builder, x: Value) -> Value:
    c, h, w = x.shape
    op = b.pick("MaxPool", "AveragePool")
    return b.node(op, [x], (c, h // 2, w // 2), kernel_shape=[2, 2], strides=[2, 2])


def padded(b: Builder, x: Value) -> Value:
    c, h, w = x.shape
    shape, mode = (c, h + 1, w + 2), b.pick("constant", "reflect", "edge")
    if b.opset < 11:
        return b.node("Pad", [x], shape, pads=[0, 0, 1, 1, 0, 0, 0, 1], mode=mode)
    if b.opset >= 18 and b.chance(0.6):
        inputs = [
            x,
            b.constant(np.array([1, 1, 0, 1])),
            "",
            b.constant(np.array(b.pick([2, 3], [-2, -1]))),
        ]
        return b.node("Pad", inputs, shape, mode=mode)
    return b.node("Pad", [x, b.constant(np.array([0, 0, 1, 1, 0, 0, 0, 1]))], shape, mode=mode)


def sliced(b: Builder, x: Value) -> Value:
    c, h, w = x.shape
    if b.opset < 10:
        return b.node("Slice", [x], (c, h - 1, w), starts=[1], ends=[h], axes=[2])
    bounds = [b.constant(np.array([v])) for v in (1, h, b.pick(2, -2))]
    return b.node("Slice", [x, *bounds], (c, h - 1, w))


def resized(b: Builder, x: Value) -> Value:
    c, h, w = x.shape
    mode = b.pick("nearest", "linear")
    if b.opset >= 18 and b.chance(0.5):
        scales = b.constant(np.array([2.0, 2.0], np.float32))
        return b.node("Resize", [x, "", scales], (c, 2 * h, 2 * w), mode=mode, axes=[2, 3])
    roi = "" if b.opset >= 13 else b.constant(np.zeros(0, np.float32))
    scales = b.constant(np.array([1, 1, 2, 2], np.float32))
    return b.node("Resize", [x, roi, scales], (c, 2 * h, 2 * w), mode=mode)


def shuffled(b: Builder, x: Value) -> Value:
    c, h, w = x.shape
    sizes = b.constant(np.array([c // 2, c // 2]))
    one, other = b.node("Split", [x, sizes], (c // 2, h, w), outputs=2, axis=1)
    return b.node("Concat", [activated(b, other), one], x.shape, axis=1)


def gate(b: Builder, x: Value) -> Value:
    c = x.shape[0]
    squeezed = b.node("GlobalAveragePool", [x], (c, 1, 1))
    gate = b.node("Sigmoid", [conv(b, squeezed) if b.chance(0.5) else squeezed])
    last = b.nodes[-2]
    if last.op_type == "Conv":  # its channels must be those of x
        b.nodes[-1].input[0] = squeezed.name
    return b.node("Mul", [x, gate], x.shape)


def turned(b: Builder, x: Value) -> Value:
    c, h, w = x.shape
    turned = b.node("Transpose", [x], (h, w, c), perm=[0, 2, 3, 1])
    product = b.node("MatMul", [turned, b.weight(c, c, fan=c)], (h, w, c))
    return b.node("Transpose", [activated(b, product)], x.shape, perm=[0, 3, 1, 2])
