"""Dynamic quantization: int8 weights in the file, the ranges of activations found again for every input.

The work is `onnxruntime.quantization.quantize_dynamic`. Around it: no files or log lines left behind, and a model in
which nothing changed is an error, not a success.
"""

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx

# What ONNX Runtime's dynamic form puts in place of float operators.
_INTEGER_OPERATORS = frozenset(
    {"MatMulInteger", "ConvInteger", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "DequantizeLinear", "QAttention"}
)


# Convolutions are left out: one range for each input tensor is too coarse for many networks, and ConvInteger is slow. A
# text recognition network with 57 of them kept 4 dB and took several times its float time; without, 42 dB and the same.
MATRIX_PRODUCTS = ("Attention", "EmbedLayerNormalization", "Gather", "Gemm", "LSTM", "MatMul")


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

    with tempfile.TemporaryDirectory() as folder, _silence():
        path = Path(folder, "dynamic.onnx")
        try:
            tool(
                _without_shapes_of_weights(source),
                path,
                op_types_to_quantize=list(op_types),
                per_channel=per_channel,
                reduce_range=reduce_range,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=list(nodes_to_exclude),
                use_external_data_format=True,
            )
        except OSError:
            raise  # the disk's trouble, not the model's
        except Exception as error:
            raise DynamicQuantizationFailed(str(error)[:300] or type(error).__name__) from error
        return onnx.load_model(path)


def _without_shapes_of_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy. The tool transposes the weight of a Gemm under its old name, and trips over the shape noted for it."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    del copied.graph.value_info[:]
    copied.graph.value_info.extend(v for v in model.graph.value_info if v.name not in weights)
    return copied


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
