"""What a file is, judged by its first bytes. Refuses at the door what no worker could use, and says what would do."""

from typing import Literal, get_args

from app.contracts.codes import ProblemCode
from app.contracts.formats import UploadedDatasetFormat, UploadedModelFormat
from app.contracts.problem import Problem, ProblemFound, problem, refuse
from app.files.signatures import EXPORT, recognise
from app.files.text_head import NoTable, table_in_another_encoding, table_of_text
from app.files.zip_head import MAGIC, ZipKind, zip_kind

Purpose = Literal["model", "dataset"]
Format = UploadedModelFormat | UploadedDatasetFormat

HEAD_BYTES = 512
"""Enough for every signature; tar's lies at 257, and the name of a zip's first entry is as long as it likes."""

SNIFFED: tuple[ProblemCode, ...] = (
    "model_format_not_supported",
    "dataset_format_not_supported",
    "pt2_not_allowed",
    "archive_corrupt",
    "jsonl_invalid",
    "csv_invalid",
    "calibration_empty",
)
"""What a file can be refused for here; each door that a file comes through documents them."""

ACCEPTED_MODELS = (
    "Accepted: an .onnx file; a .zip, .tar or .tar.gz of one with its external data, or of a transformers checkpoint "
    "(config.json, .safetensors, tokenizer.json)."
)
ACCEPTED_DATASETS = "Accepted: .npz, .safetensors, .parquet, .jsonl, .csv, or a .zip of images."

_MOST_HEADER_BYTES = 100 << 20
"""Of a safetensors file; the library reads no longer ones."""

_MODEL_ADVICE = {
    ZipKind.TORCH_PICKLE: f"Pickles are code and are never loaded. {EXPORT}",
    ZipKind.KERAS: "Convert it with tf2onnx.",
    ZipKind.SAVED_MODEL: "Convert it with tf2onnx.",
    ZipKind.ARRAYS: "This looks like data: upload it with purpose=dataset.",
    ZipKind.OFFICE: "",
}
_MODEL_KINDS = {ZipKind.TORCH_EXPORT, ZipKind.TORCH_PICKLE, ZipKind.KERAS, ZipKind.SAVED_MODEL}


def as_purpose(given: str | None) -> Purpose:
    """The purpose that a client named, or a refusal that names the possible ones."""
    for known in get_args(Purpose):
        if given == known:
            return known  # type: ignore[no-any-return]  # get_args forgets the literal type
    raise refuse("validation_error", "`purpose` must be 'model' or 'dataset'.", pointer="/purpose")


def sniff(head: bytes, purpose: Purpose, *, allow_torch_export: bool = False) -> Format | Problem:
    """The format of a file that begins with `head`, or why it cannot serve the purpose."""
    if not head:
        return problem("file_empty", "The file has no bytes.", hint="Check that the path names the right file.")
    if purpose == "dataset":
        return _sniff_dataset(head)
    found = _sniff_model(head)
    if found == "torch_export" and not allow_torch_export:
        return problem("pt2_not_allowed", f"The file is {ZipKind.TORCH_EXPORT}, which this service does not open.")
    return found


def require_format(head: bytes, purpose: Purpose, *, allow_torch_export: bool) -> Format:
    """The same, raising ProblemFound."""
    found = sniff(head, purpose, allow_torch_export=allow_torch_export)
    if isinstance(found, Problem):
        raise ProblemFound(found)
    return found


def _sniff_model(head: bytes) -> UploadedModelFormat | Problem:
    if head.startswith(MAGIC):
        return _zip_as_model(head)
    if _is_safetensors(head):
        return _no_model(
            "a safetensors file by itself",
            "Weights alone are no model: pack the whole checkpoint folder, with config.json and the tokenizer's files.",
        )
    seen = recognise(head)
    if seen is not None and seen.name in {"a tar archive", "a gzip archive"}:
        return "archive"
    if seen is None and _starts_like_onnx(head):
        return "onnx"
    return _no_model(seen.name, seen.advice) if seen else _no_model("not an ONNX model")


def _zip_as_model(head: bytes) -> UploadedModelFormat | Problem:
    kind = zip_kind(head, whole=len(head) < HEAD_BYTES)
    if kind is None:
        return problem("archive_corrupt", "The zip archive ends within its first entry.")
    if kind == ZipKind.TORCH_EXPORT:
        return "torch_export"
    return "archive" if kind == ZipKind.OTHER else _no_model(kind, _MODEL_ADVICE[kind])


def _sniff_dataset(head: bytes) -> UploadedDatasetFormat | Problem:
    whole = len(head) < HEAD_BYTES
    if head.startswith(MAGIC):
        return _zip_as_dataset(head, whole=whole)
    if head.startswith(b"PK\x05\x06"):
        return problem("calibration_empty", "The archive has no arrays.")
    if head.startswith(b"PAR1"):
        return "parquet"
    return "safetensors" if _is_safetensors(head) else _text_as_dataset(head, whole=whole)


def _text_as_dataset(head: bytes, *, whole: bool) -> UploadedDatasetFormat | Problem:
    seen = recognise(head)
    text = table_of_text(head, whole=whole)
    if seen is not None and (text is None or seen.begins_as_text):
        return _no_dataset(seen.name, seen.data_advice)
    text = text or table_in_another_encoding(head, whole=whole)
    if isinstance(text, NoTable):
        return _no_table(text)
    return text or _no_dataset("none of the accepted formats")


def _zip_as_dataset(head: bytes, *, whole: bool) -> UploadedDatasetFormat | Problem:
    kind = zip_kind(head, whole=whole)
    if kind is None:
        return problem("archive_corrupt", "The zip archive ends within its first entry.")
    if kind == ZipKind.OFFICE:
        return _no_dataset(kind, "Save the table as CSV, in UTF-8.")
    if kind in _MODEL_KINDS:
        return _no_dataset(kind, "Models are uploaded with purpose=model; arrays are saved with numpy.savez.")
    return "npz" if kind == ZipKind.ARRAYS else "images"


def _is_safetensors(head: bytes) -> bool:
    """Eight bytes of length, then that many of JSON."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _MOST_HEADER_BYTES


def _starts_like_onnx(head: bytes) -> bool:
    """True if the first protobuf key is a field of ModelProto (onnx.proto: 1-8, 14, 20, 25, 26) of its wire type.

    Writers put `ir_version` (field 1, varint, key 0x08) first, but the wire format allows any order.
    """
    field, wire_type = head[0] >> 3, head[0] & 7
    varint, length_delimited = 0, 2
    if wire_type == varint:
        return field in {1, 5}
    return wire_type == length_delimited and field in {2, 3, 4, 6, 7, 8, 14}


def _no_table(text: NoTable) -> Problem:
    if text.meant is None:
        return _no_dataset(text.what)
    code: ProblemCode = "jsonl_invalid" if text.meant == "jsonl" else "csv_invalid"
    return problem(code, f"The file is {text.what}.", hint=text.hint)


def _no_model(what: str, advice: str = "") -> Problem:
    hint = f"{advice} {ACCEPTED_MODELS}".strip()
    return problem("model_format_not_supported", f"The file is {what}.", hint=hint)


def _no_dataset(what: str, advice: str = "") -> Problem:
    hint = f"{advice} {ACCEPTED_DATASETS}".strip()
    return problem("dataset_format_not_supported", f"The file is {what}.", hint=hint)
