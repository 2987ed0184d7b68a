"""The first bytes of formats that are not accepted as they are, with what to do instead."""

from typing import NamedTuple


class Signature(NamedTuple):
    offset: int
    magic: bytes
    name: str
    advice: str = ""
    """For who meant it as a model."""
    data_advice: str = ""
    """For who meant it as data."""
    begins_as_text: bool = False
    """So that its first bytes being text does not speak against it; they could be the beginning of a table, else."""


EXPORT = "Export it to ONNX: torch.onnx.export(model.eval(), args, 'model.onnx')."
_PICKLE = f"Pickles are code and are never loaded. {EXPORT}"
_ENGINE = "Engines cannot be quantized; upload the ONNX model."
_REPACK = "Pack it again as .zip or .tar.gz."
_UNPACK = "Unpack it and upload the file itself."
_PULL = "Run git lfs pull first."

_SIGNATURES = (
    Signature(0, b"\x80\x02", "a Python pickle", _PICKLE),
    Signature(0, b"\x80\x03", "a Python pickle", _PICKLE),
    Signature(0, b"\x80\x04", "a Python pickle", _PICKLE),
    Signature(0, b"\x80\x05", "a Python pickle", _PICKLE),
    Signature(0, b"\x89HDF", "an HDF5 file (Keras)", "Convert it with tf2onnx."),
    Signature(4, b"TFL3", "a TensorFlow Lite model", "Convert the original with tf2onnx."),
    Signature(4, b"ORTM", "an ONNX Runtime .ort file", "Upload the .onnx file that it was made from."),
    Signature(0, b"\x7fELF", "a native library"),
    Signature(0, b"MZ", "a Windows program or library"),
    Signature(0, b"ptrt", "a TensorRT engine", _ENGINE),
    Signature(0, b"vtrt", "a TensorRT-RTX engine", _ENGINE),
    Signature(0, b"GGUF", "a GGUF file", "Upload the float model that it was made from."),
    Signature(0, b"\x1f\x8b", "a gzip archive", _UNPACK, _UNPACK),
    Signature(0, b"\x28\xb5\x2f\xfd", "a zstd archive", _REPACK, _UNPACK),
    Signature(0, b"BZh", "a bzip2 archive", _REPACK, _UNPACK),
    Signature(0, b"\xfd7zXZ", "an xz archive", _REPACK, _UNPACK),
    Signature(0, b"7z\xbc\xaf", "a 7z archive", _REPACK, "Pack images as .zip."),
    Signature(0, b"Rar!", "a RAR archive", _REPACK, "Pack images as .zip."),
    Signature(0, b"PK\x05\x06", "an empty zip archive"),
    Signature(
        0,
        b"\x93NUMPY",
        "a single .npy array",
        data_advice="Save it under its input's name: numpy.savez(path, name=array).",
    ),
    Signature(0, b"PAR1", "a Parquet file", "This looks like data: upload it with purpose=dataset."),
    Signature(0, b"\x89PNG", "a PNG image", data_advice="Pack the images as .zip, a folder for each class."),
    Signature(0, b"\xff\xd8\xff", "a JPEG image", data_advice="Pack the images as .zip, a folder for each class."),
    Signature(0, b"%PDF-", "a PDF document", begins_as_text=True),
    Signature(0, b"ARROW1", "an Arrow file", data_advice="Write it as Parquet: pyarrow.parquet.write_table."),
    Signature(
        0, b"version https://git-lfs", "a pointer of Git LFS, not the file itself", _PULL, _PULL, begins_as_text=True
    ),
    Signature(257, b"ustar", "a tar archive", _UNPACK, "Pack images as .zip."),
)


def recognise(head: bytes) -> Signature | None:
    """The format that a file with these first bytes has, among those that need something done to them first."""
    return next((s for s in _SIGNATURES if head[s.offset : s.offset + len(s.magic)] == s.magic), None)
