"""What a file is, judged by its first bytes. Refuses at the door what no worker could use, and says what would do."""

from typing import Literal, NamedTuple, get_args

from app.contracts.problem import Problem, problem, refuse

Purpose = Literal["model", "dataset"]
Format = Literal["onnx", "npz"]

HEAD_BYTES = 512
"""Enough for every signature below; tar's lies at 257."""


class _Signature(NamedTuple):
    offset: int
    magic: bytes
    name: str
    advice: str | None


_EXPORT = "Export it to ONNX: torch.onnx.export(model.eval(), args, 'model.onnx')."
_SIGNATURES = (
    _Signature(0, b"PK\x03\x04", "a zip archive (a PyTorch .pt, .pt2 or .npz file)", _EXPORT),
    _Signature(0, b"PK\x05\x06", "an empty zip archive", None),
    _Signature(0, b"\x80\x02", "a Python pickle", f"Pickles are code and are never loaded. {_EXPORT}"),
    _Signature(0, b"\x80\x03", "a Python pickle", f"Pickles are code and are never loaded. {_EXPORT}"),
    _Signature(0, b"\x80\x04", "a Python pickle", f"Pickles are code and are never loaded. {_EXPORT}"),
    _Signature(0, b"\x80\x05", "a Python pickle", f"Pickles are code and are never loaded. {_EXPORT}"),
    _Signature(0, b"\x89HDF", "an HDF5 file (Keras)", "Convert it with tf2onnx."),
    _Signature(4, b"TFL3", "a TensorFlow Lite model", "Convert the original with tf2onnx."),
    _Signature(4, b"ORTM", "an ONNX Runtime .ort file", "Upload the .onnx file that it was made from."),
    _Signature(0, b"\x7fELF", "a native library", None),
    _Signature(0, b"ptrt", "a TensorRT engine", "Engines cannot be quantized; upload the ONNX model."),
    _Signature(0, b"vtrt", "a TensorRT-RTX engine", "Engines cannot be quantized; upload the ONNX model."),
    _Signature(0, b"GGUF", "a GGUF file", "Upload the float model that it was made from."),
    _Signature(0, b"\x1f\x8b", "a gzip archive", "Unpack it and upload the file itself."),
    _Signature(0, b"\x28\xb5\x2f\xfd", "a zstd archive", "Unpack it and upload the file itself."),
    _Signature(
        0, b"\x93NUMPY", "a single .npy array", "Save it under its input's name: numpy.savez(path, name=array)."
    ),
    _Signature(0, b"PAR1", "a Parquet file", None),
    _Signature(0, b"\x89PNG", "a PNG image", None),
    _Signature(0, b"\xff\xd8\xff", "a JPEG image", None),
    _Signature(0, b"%PDF", "a PDF document", None),
    _Signature(257, b"ustar", "a tar archive", "Unpack it and upload the file itself."),
)


def as_purpose(given: str | None) -> Purpose:
    """The purpose that a client named, or a refusal that names the possible ones."""
    for known in get_args(Purpose):
        if given == known:
            return known  # type: ignore[no-any-return]  # get_args forgets the literal type
    raise refuse("validation_error", "`purpose` must be 'model' or 'dataset'.", pointer="/purpose")


def sniff(head: bytes, purpose: Purpose) -> Format | Problem:
    """The format of a file that begins with `head`, or why it cannot serve the purpose."""
    if not head:
        return problem("file_empty", "The file has no bytes.", hint="Check that the path names the right file.")
    return _sniff_dataset(head) if purpose == "dataset" else _sniff_model(head)


def _sniff_dataset(head: bytes) -> Format | Problem:
    if head.startswith(b"PK\x03\x04"):
        return "npz"
    if head.startswith(b"PK\x05\x06"):
        return problem("calibration_empty", "The archive has no arrays.")
    seen = _recognise(head)
    return problem(
        "dataset_format_not_supported",
        f"The file is {seen.name if seen else 'not an npz archive'}.",
        hint=seen.advice if seen and seen.name.endswith("array") else None,
    )


def _sniff_model(head: bytes) -> Format | Problem:
    seen = _recognise(head)
    if seen is None and _starts_like_onnx(head):
        return "onnx"
    return problem(
        "model_format_not_supported",
        f"The file is {seen.name if seen else 'not an ONNX model'}.",
        hint=(seen.advice if seen else None) or "Upload a single .onnx file.",
    )


def _recognise(head: bytes) -> _Signature | None:
    return next((s for s in _SIGNATURES if head[s.offset : s.offset + len(s.magic)] == s.magic), None)


def _starts_like_onnx(head: bytes) -> bool:
    """True if the first protobuf key is a field of ModelProto (onnx.proto: 1-8, 14, 20, 25, 26) of its wire type.

    Writers put `ir_version` (field 1, varint, key 0x08) first, but the wire format allows any order.
    """
    field, wire_type = head[0] >> 3, head[0] & 7
    varint, length_delimited = 0, 2
    if wire_type == varint:
        return field in {1, 5}
    return wire_type == length_delimited and field in {2, 3, 4, 6, 7, 8, 14}
