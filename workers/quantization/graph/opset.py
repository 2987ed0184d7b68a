"""Moving a model to an opset in which QuantizeLinear knows an axis."""

import onnx
from onnx import version_converter

from workers.quantization.graph.skeleton import without_weights

OLDEST_SUPPORTED = 9
PER_AXIS_QUANTIZATION = 13
"""The first opset whose QuantizeLinear and DequantizeLinear take an axis."""

# The oldest IR that goes with opset 13, and the oldest in which an initializer need not be an input.
_OLDEST_IR = 7


class OpsetNotConvertible(Exception):
    """onnx's version converter has no rule for an operator of the model; the message is its reason."""


def default_opset(model: onnx.ModelProto) -> int | None:
    """The version of the standard operators that the model names, if it names one."""
    return next((int(o.version) for o in model.opset_import if o.domain in {"", "ai.onnx"}), None)


def raise_opset(model: onnx.ModelProto, minimum: int = PER_AXIS_QUANTIZATION) -> onnx.ModelProto:
    """The model in an opset of at least `minimum`, with the same outputs. A newer model is returned as it is.

    Weights may lie in external data, and stay there.

    Raises OpsetNotConvertible.
    """
    current = default_opset(model)
    if current is not None and current >= minimum:
        return model
    skeleton = without_weights(model)
    try:
        converted = version_converter.convert_version(skeleton.model, minimum)
    except (RuntimeError, ValueError, version_converter.ConvertError) as error:  # C++ errors arrive as any of these
        raise OpsetNotConvertible(str(error).splitlines()[0][:200]) from error
    converted.ir_version = max(converted.ir_version, _OLDEST_IR)
    return skeleton.completed(converted)
