"""What standard operators do to the size of a value, as far as a choice between float16 and float32 asks for it."""

import onnx_ir as ir

from workers.quantization.graph.weighted_operators import is_standard

COORDINATES = 4
"""A product that sums over at most so many numbers maps coordinates or times; one that sums over more, features."""

MULTIPLIES_WEIGHTS = frozenset({
    "MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum", "DeformConv", "LSTM", "GRU", "RNN", "Attention",
})  # fmt: skip

COMPARES = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})

BOUNDS = COMPARES | frozenset({
    "Sin", "Cos", "Tan", "Atan", "Asin", "Acos", "Sigmoid", "HardSigmoid", "Tanh", "Erf", "Softsign", "Sign",
    "Softmax", "LogSoftmax", "Hardmax", "ArgMax", "ArgMin", "Exp",
    "LayerNormalization", "RMSNormalization", "GroupNormalization", "InstanceNormalization", "BatchNormalization",
    "MeanVarianceNormalization", "LpNormalization",
})  # fmt: skip
"""What comes out is of an ordinary size, whatever went in."""

SATURATES = COMPARES | frozenset({
    "Softmax", "LogSoftmax", "Hardmax", "ArgMax", "ArgMin", "TopK", "ReduceMax", "ReduceMin", "ReduceLogSumExp",
    "MaxPool", "GlobalMaxPool", "Sigmoid", "HardSigmoid", "Tanh", "Erf", "Exp", "Attention",
})  # fmt: skip
"""To these 65504 is as good as infinity."""

LIMITS = COMPARES | frozenset({"Clip", "Min", "Max"})
"""A constant that these read is a limit: beyond 65504 no float16 reaches it."""

MOVES = frozenset({
    "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Tile", "Slice", "Split", "Pad",
    "Concat", "Where", "Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND", "Trilu", "Cast",
    "CastLike", "Dropout", "Compress",
})  # fmt: skip

ADDS = MOVES | frozenset({"Add", "Sub", "Sum", "Mean", "Max", "Min"})
"""The largest of what goes in decides how large it comes out."""

GUARDS = frozenset({"Add", "Sub", "Sum", "Max", "Clip", "Where"})
"""By a constant near zero, these keep a value from zero."""

SUMS = frozenset({"ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare"})


def multiplies_features(node: ir.Node) -> bool:
    """True of a product with weights that sums over more than coordinates, or over who knows how many."""
    if not is_standard(node) or node.op_type not in MULTIPLIES_WEIGHTS:
        return False
    summed = _summed_over(node)
    return summed is None or summed > COORDINATES


def _summed_over(node: ir.Node) -> int | None:
    match node.op_type:
        case "MatMul":
            known = (_extent(node.inputs[0], -1), _extent(node.inputs[1], -2))
        case "Gemm":
            axes = (0 if node.attributes.get_int("transA", 0) else 1, 1 if node.attributes.get_int("transB", 0) else 0)
            known = (_extent(node.inputs[0], axes[0]), _extent(node.inputs[1], axes[1]))
        case "Einsum":
            return _summed_by(node.attributes.get_string("equation", ""))
        case _:
            return None
    return next((extent for extent in known if extent is not None), None)


def _summed_by(equation: str) -> int | None:
    """1 for an outer product, in which every index of the inputs is one of the output."""
    read, arrow, written = equation.replace(" ", "").partition("->")
    return 1 if arrow and set(read) - {","} <= set(written) else None


def _extent(value: ir.Value | None, axis: int) -> int | None:
    shape = None if value is None else value.shape
    if shape is None or len(shape) < 2:
        return None
    extent = shape[axis]
    return extent if isinstance(extent, int) else None
