"""What a model file says about itself, wherever it goes."""

from collections.abc import Mapping

import onnx
import onnx_ir as ir

from workers.quantization.graph.model_file import self_contained

STAMP_PREFIX = "lowbit."


def stamped(model: ir.Model, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """The model as a file's content, with what it says about itself."""
    return restamped(self_contained(model), metadata)


def restamped(model: onnx.ModelProto, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """The same file with other words about itself: what an earlier job of ours said of it goes."""
    foreign = {p.key: p.value for p in model.metadata_props if not p.key.startswith(STAMP_PREFIX)}
    model.producer_name = "lowbit"
    del model.metadata_props[:]
    for key, value in {**foreign, **metadata}.items():
        model.metadata_props.add(key=key, value=value)
    return model
