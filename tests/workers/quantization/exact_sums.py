"""ONNX Runtime for models whose weights use all 8 bits: with exact sums on every processor.

Without VNNI its default kernels add two products in 16 bits, and saturate (docs/numerics.md, "The pair limit"). On
request it makes uint8 of such weights there, whose kernels do not. With VNNI the request changes nothing.
"""

import onnx
import onnxruntime as ort


def exact_session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # a graph optimization: it does nothing where those are disabled
    options.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
