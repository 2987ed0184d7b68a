"""The codes with which an ONNX model may be refused while it is read."""

CODES = {
    "onnx_parse_error", "onnx_invalid", "onnx_opset_unsupported", "onnx_operator_not_allowed", "onnx_tensor_too_large",
    "onnx_external_data_missing", "onnx_external_data_escape", "onnx_external_data_bad_key", "onnx_checksum_mismatch",
    "onnx_type_unsupported",
}  # fmt: skip
