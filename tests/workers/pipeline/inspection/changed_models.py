"""A small sound model, and what a test does to it."""

from typing import Any

import onnx

from tests.workers.quantization.small_models import two_matmuls


def changed(change: Any, model: onnx.ModelProto | None = None) -> onnx.ModelProto:
    model = model or two_matmuls()
    change(model)
    return model
