"""A convolution's window, read off its attributes."""

import onnx_ir as ir

from workers.quantization.observers import Window


class WindowNotStatic(ValueError):
    """The padding depends on the size of the input (auto_pad), so the window is not known beforehand."""


def window_of(node: ir.Node) -> Window:
    """Source: ONNX Conv-11. Raises WindowNotStatic."""
    weight = node.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    kernel = tuple(weight.const_value.shape.numpy()[2:])
    padding = node.attributes.get_string("auto_pad", "NOTSET")
    if padding not in {"NOTSET", "VALID"}:
        raise WindowNotStatic(node.name)
    ones = [1] * len(kernel)
    pads = node.attributes.get_ints("pads", [0] * (2 * len(kernel))) if padding == "NOTSET" else [0] * (2 * len(kernel))
    return Window(
        kernel,
        tuple(node.attributes.get_ints("strides", ones) or ones),
        tuple(node.attributes.get_ints("dilations", ones) or ones),
        tuple(pads or [0] * (2 * len(kernel))),
        node.attributes.get_int("group", 1) or 1,
    )
