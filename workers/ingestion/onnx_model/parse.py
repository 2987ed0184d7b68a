"""An ONNX file as a message. What it names is not opened here."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types

from app.contracts.problem import refuse

_LARGEST_MESSAGE = 2**31 - 1


def load_model(path: Path) -> onnx.ModelProto:
    """Raises ProblemFound for what is no ONNX model."""
    if path.stat().st_size > _LARGEST_MESSAGE:
        hint = "Save it with external data, and upload an archive: onnx.save_model(m, path, save_as_external_data=True)"
        raise refuse("onnx_parse_error", "No ONNX file can be larger than 2 GB.", hint=hint)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise refuse("onnx_parse_error", "The file is not a protobuf message of an ONNX model.") from error
    if not model.HasField("graph") or not model.graph.node or not model.ir_version:
        raise refuse("onnx_parse_error", "The file holds no graph of operators.")
    return model
