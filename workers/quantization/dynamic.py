"""Dynamic quantization: int8 weights in the file, the ranges of activations found again for every input.

The work is `onnxruntime.quantization.quantize_dynamic`. Around it: no files or log lines left behind, and a model in
which nothing changed is an error, not a success. What the tool would do wrong by itself:

1. It transposes the weight of a Gemm, and reshapes those of an LSTM, under their old names: whatever else reads them
   computes something else then, without an error. So each of these operators gets weights of its own.
2. It trips over the shape that is noted for such a weight.
3. It turns every Gemm into MatMul and Add before it looks at what to leave out, under the name that MatMul has by then.
4. It makes integers of float16 weights, and of vectors, in operators that take neither; and scales for the channels of
   a MatMul's weight of three axes, which no operator takes.
5. It writes the operators of a body's weights behind the operator that holds the body.
"""

import contextlib
import io
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import TopologicalSortPass

from workers.quantization.graph.format_check import check_graph
from workers.quantization.graph.skeleton import without_weights

# What ONNX Runtime's dynamic form puts in place of float operators.
_INTEGER_OPERATORS = frozenset(
    {"MatMulInteger", "ConvInteger", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "DequantizeLinear", "QAttention"}
)


# Convolutions are left out: one range for each input tensor is too coarse for many networks, and ConvInteger is slow. A
# text recognition network with 57 of them kept 4 dB and took several times its float time; without, 42 dB and the same.
# So is Attention: the tool takes the standard one, which holds no weights, for ONNX Runtime's own, which does.
MATRIX_PRODUCTS = ("Gather", "Gemm", "LSTM", "MatMul")


_WEIGHT = {"Gather": 0, "Gemm": 1, "LSTM": 1, "MatMul": 1}

# Inputs that the tool changes in place.
_CHANGED_WEIGHTS = {"Gemm": (1,), "LSTM": (1, 2)}


class NothingQuantized(ValueError):
    """No operator has a constant float weight that the dynamic form could make integers of."""


class DynamicQuantizationFailed(ValueError):
    """ONNX Runtime's tool cannot take the model; the message is its reason."""


def quantize_dynamic(
    model: onnx.ModelProto | bytes,
    *,
    per_channel: bool = True,
    reduce_range: bool = False,
    op_types: Sequence[str] = MATRIX_PRODUCTS,
    nodes_to_exclude: Sequence[str] = (),
) -> onnx.ModelProto:
    """The model with int8 weights; the one that came in stays as it was.

    per_channel: one weight scale for each output channel. reduce_range: 7-bit weights, for CPUs without VNNI.
    op_types: quantize only these. nodes_to_exclude: names.
    Raises NothingQuantized, DynamicQuantizationFailed.
    """
    source = onnx.load_model_from_string(model) if isinstance(model, bytes) else model
    result = _quantized(source, per_channel, reduce_range, op_types, nodes_to_exclude)
    if _count_integer_operators(result) <= _count_integer_operators(source):
        kinds = ", ".join(op_types)
        raise NothingQuantized(f"No {kinds} that is not excluded has a constant float32 weight.")
    return result


def _quantized(
    source: onnx.ModelProto,
    per_channel: bool,  # noqa: FBT001 - as the caller said it
    reduce_range: bool,  # noqa: FBT001
    op_types: Sequence[str],
    nodes_to_exclude: Sequence[str],
) -> onnx.ModelProto:
    # seconds of import that no other method needs
    from onnxruntime.quantization import QuantType  # noqa: PLC0415
    from onnxruntime.quantization import quantize_dynamic as tool  # noqa: PLC0415

    left_out = [*nodes_to_exclude, *_unfit(source.graph, per_channel=per_channel)]
    with tempfile.TemporaryDirectory() as folder, _silence():
        path = Path(folder, "dynamic.onnx")
        try:
            tool(
                _ready(source),
                path,
                op_types_to_quantize=list(op_types),
                per_channel=per_channel,
                reduce_range=reduce_range,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[name for node in left_out for name in names_left(node)],
                use_external_data_format=True,
            )
        except OSError:
            raise  # the disk's trouble, not the model's
        except Exception as error:
            raise DynamicQuantizationFailed(str(error)[:300] or type(error).__name__) from error
        return _in_order(onnx.load_model(path))


def names_left(node: str) -> tuple[str, str]:
    """How a float operator may be called once the tool is done: the second, if it was a Gemm."""
    return node, f"{node}_MatMul"


def _in_order(model: onnx.ModelProto) -> onnx.ModelProto:
    """Raises DynamicQuantizationFailed where the graph is none."""
    try:
        ordered: onnx.ModelProto = ir.to_proto(TopologicalSortPass()(ir.from_proto(model)).model)
        check_graph(without_weights(ordered))
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise DynamicQuantizationFailed(str(error)[:300] or type(error).__name__) from error
    return ordered


def _unfit(graph: onnx.GraphProto, *, per_channel: bool) -> Iterator[str]:
    """The names of operators whose constant weight the integer operators do not take."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in _nodes(graph):
        index = _WEIGHT.get(node.op_type)
        weight = None if index is None else weights.get(node.input[index])
        if weight is None:
            continue
        axes = len(weight.dims)
        unfit_axes = node.op_type == "MatMul" and (axes == 1 or (per_channel and axes != 2))
        if weight.data_type != onnx.TensorProto.FLOAT or unfit_axes:
            yield node.name


def _ready(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that the tool does not spoil."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    del copied.graph.value_info[:]
    copied.graph.value_info.extend(v for v in model.graph.value_info if v.name not in weights)
    _give_own_weights(copied.graph)
    return copied


def _give_own_weights(graph: onnx.GraphProto) -> None:
    nodes = list(_nodes(graph))
    weights = {tensor.name: tensor for tensor in graph.initializer}
    readers = Counter(name for node in nodes for name in node.input) + Counter(v.name for v in graph.output)
    for number, node in enumerate(nodes):
        for index in _CHANGED_WEIGHTS.get(node.op_type, ()):
            name = node.input[index]
            if name not in weights or readers[name] == 1:
                continue
            readers[name] -= 1
            node.input[index] = f"{name}_of_{node.op_type}_{number}"
            own = graph.initializer.add()
            own.CopyFrom(weights[name])
            own.name = node.input[index]


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _nodes(body)


def _count_integer_operators(model: onnx.ModelProto) -> int:
    return sum(node.op_type in _INTEGER_OPERATORS for node in model.graph.node)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drop what the tool prints, and what it says on the root logger; the logger is left as it was found."""
    root = logging.getLogger()
    # without any handler, logging.warning would install one for good
    stand_in = logging.NullHandler()
    root.addHandler(stand_in)
    root.addFilter(_not_from_the_tool)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.removeFilter(_not_from_the_tool)
        root.removeHandler(stand_in)


def _not_from_the_tool(record: logging.LogRecord) -> bool:
    return "onnxruntime" not in Path(record.pathname).parts
