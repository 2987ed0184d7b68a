"""Formats by their first bytes. The files are real: each was written by the library whose format it is."""

import csv
import gzip
import io
import json
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.contracts.problem import MAX_QUOTED, Problem
from app.files.service import safe_filename
from app.files.sniff import ACCEPTED_DATASETS, ACCEPTED_MODELS, HEAD_BYTES, sniff

ONNX_FILES = sorted(Path(onnx.__file__).parent.glob("backend/test/data/simple/*/model.onnx"))
ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_every_model_of_onnxs_own_suite_is_let_in() -> None:
    assert len(ONNX_FILES) > 10
    for path in ONNX_FILES:
        assert sniff(path.read_bytes()[:HEAD_BYTES], "model") == "onnx", path


def _zip(first: str | None = None, content: bytes = b"{}", **others: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        if first is not None:
            archive.writestr(first, content)
        for name, other in others.items():
            archive.writestr(name, other)
    return buffer.getvalue()


def _tar(mode: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        entry = tarfile.TarInfo("config.json")
        entry.size = 2
        archive.addfile(entry, io.BytesIO(b"{}"))
    return buffer.getvalue()


def _written(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _image(kind: str) -> bytes:
    return _written(lambda file: Image.new("RGB", (4, 4)).save(file, kind))


def _table() -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([["text", "label"], ["schön, gut", "1"]])
    return text.getvalue().encode()


class _Linear(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)  # type: ignore[no-any-return]  # torch's modules return anything


class _Doubling(torch.nn.Module):
    """Without weights, so that another entry comes first."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def _exported(module: torch.nn.Module) -> bytes:
    program = torch.export.export(module.eval(), (torch.zeros(2, 4),))
    return _written(lambda file: torch.export.save(program, file))


def _traced(file: io.BytesIO) -> None:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        torch.jit.save(torch.jit.trace(_Linear(), torch.zeros(2, 4)), file)


SAFETENSORS = safetensors.numpy.save({"x": ARRAY})
PARQUET = _written(lambda file: pq.write_table(pa.table({"text": ["a", "b"]}), file))
JSONL = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in ("good", "bad"))
NPZ = _written(lambda file: np.savez(file, x=ARRAY))
NPZ_COMPRESSED = _written(lambda file: np.savez_compressed(file, x=ARRAY))
IMAGES = _zip("cat/1.png", _image("PNG"))
CHECKPOINT = _zip("config.json", weights=SAFETENSORS)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (CHECKPOINT, "archive"),
        (_zip("bert/config.json"), "archive"),
        (_zip("model.onnx", ONNX_FILES[0].read_bytes()), "archive"),
        (_tar("w:"), "archive"),
        (_tar("w:gz"), "archive"),
    ],
)
def test_archives_may_hold_a_model(content: bytes, found: str) -> None:
    assert sniff(content[:HEAD_BYTES], "model") == found


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (NPZ, "npz"),
        (NPZ_COMPRESSED, "npz"),
        (IMAGES, "images"),
        (SAFETENSORS, "safetensors"),
        (PARQUET, "parquet"),
        (JSONL, "jsonl"),
        (b"\xef\xbb\xbf" + JSONL, "jsonl"),
        (b'\n [{"text": "a"}]', "jsonl"),
        (_table(), "csv"),
        (b"text\nhello\n", "csv"),
        (b"a;b", "csv"),
        (b"MZ,intensity\n1.5,2\n", "csv"),  # MZ begins Windows programs, too
        (b"\xe2\x82\xac," * 200, "csv"),  # a character of three bytes across the end of the head
    ],
)
def test_data_of_every_accepted_format_is_let_in(content: bytes, found: str) -> None:
    assert sniff(content[:HEAD_BYTES], "dataset") == found


@pytest.mark.parametrize("module", [_Linear(), _Doubling()])
def test_programs_of_torch_export_are_let_in_where_they_are_allowed(module: torch.nn.Module) -> None:
    head = _exported(module)[:HEAD_BYTES]
    assert sniff(head, "model", allow_torch_export=True) == "torch_export"
    refused = sniff(head, "model")
    assert isinstance(refused, Problem)
    assert (refused.code, refused.status) == ("pt2_not_allowed", 415)
    assert "LOWBIT_ALLOW_TORCH_EXPORT" in (refused.hint or "")


@pytest.mark.parametrize(
    ("content", "named", "hint"),
    [
        (_written(lambda file: torch.save({"w": torch.zeros(3)}, file)), "a PyTorch archive", "torch.onnx.export"),
        (_written(_traced), "a PyTorch archive", "torch.onnx.export"),
        (_zip("model/data.pkl"), "a PyTorch archive", "torch.onnx.export"),
        (_zip("archive/code/__torch__.py"), "a PyTorch archive", "torch.onnx.export"),
        (
            _written(lambda file: torch.save({}, file, _use_new_zipfile_serialization=False)),
            "a Python pickle",
            "torch.onnx.export",
        ),
        (_zip("metadata.json", b'{"keras_version": "3.9.0"}'), "a Keras model", "tf2onnx"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "an HDF5 file", "tf2onnx"),
        (_zip("saved_model.pb"), "SavedModel", "tf2onnx"),
        (SAFETENSORS, "a safetensors file by itself", "config.json"),
        (NPZ, "an .npz archive", "purpose=dataset"),
        (PARQUET, "a Parquet file", "purpose=dataset"),
        (b"\x1c\0\0\0TFL3" + bytes(600), "TensorFlow Lite", "tf2onnx"),
        (b"\x1c\0\0\0ORTM" + bytes(600), "an ONNX Runtime .ort file", ".onnx file that it was made from"),
        (b"GGUF\x03\0\0\0" + bytes(600), "a GGUF file", "the float model"),
        (b"ptrt" + bytes(600), "a TensorRT engine", "upload the ONNX model"),
        (b"vtrt" + bytes(600), "a TensorRT-RTX engine", "upload the ONNX model"),
        (b"\x7fELF" + bytes(600), "a native library", ""),
        (b"MZ\x90\0" + bytes(600), "a Windows program", ""),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "a zstd archive", ".tar.gz"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS", "git lfs pull"),
        (b'{"architectures": ["Bert"]}', "not an ONNX model", ""),
        (_zip()[:22], "an empty zip archive", ""),
    ],
)
def test_other_models_are_named_and_get_advice(content: bytes, named: str, hint: str) -> None:
    refused = sniff(content[:HEAD_BYTES], "model", allow_torch_export=True)
    assert isinstance(refused, Problem), refused
    assert (refused.code, refused.status) == ("model_format_not_supported", 415)
    assert named in refused.detail
    assert refused.hint is not None
    assert hint in refused.hint
    assert refused.hint.endswith(ACCEPTED_MODELS)


@pytest.mark.parametrize(
    ("content", "named", "hint"),
    [
        (_written(lambda file: np.save(file, ARRAY)), "a single .npy array", "numpy.savez"),
        (_image("PNG"), "a PNG image", ".zip"),
        (_image("JPEG"), "a JPEG image", ".zip"),
        (_tar("w:"), "a tar archive", ".zip"),
        (gzip.compress(JSONL, mtime=0), "a gzip archive", "Unpack"),
        (_written(lambda file: torch.save({"w": torch.zeros(3)}, file)), "a PyTorch archive", "purpose=model"),
        (_zip("[Content_Types].xml"), "an Office document", "CSV"),
        (ONNX_FILES[0].read_bytes(), "none of the accepted formats", ""),
        (b"%PDF-1.7\n1 0 obj\n", "a PDF document", ""),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS", "git lfs pull"),
        (b"<!DOCTYPE html>\n<p>Not found</p>", "HTML", ""),
        (b"hello", "a single line", ""),
        (b" \n\n", "blank", ""),
        (b"text\nbell \x07\n", "none of the accepted formats", ""),
        (b"\xe9\xe8\xea", "none of the accepted formats", ""),
        (b"text\nbell \x07 \xe9\n", "none of the accepted formats", ""),
    ],
)
def test_other_data_is_named_and_gets_advice(content: bytes, named: str, hint: str) -> None:
    refused = sniff(content[:HEAD_BYTES], "dataset")
    assert isinstance(refused, Problem), refused
    assert (refused.code, refused.status) == ("dataset_format_not_supported", 415)
    assert named in refused.detail
    assert refused.hint is not None
    assert hint in refused.hint
    assert refused.hint.endswith(ACCEPTED_DATASETS)


@pytest.mark.parametrize(
    ("content", "purpose", "code"),
    [
        (JSONL.decode().encode("utf-16"), "dataset", "jsonl_invalid"),
        (_table().decode().encode("utf-16"), "dataset", "csv_invalid"),
        (_zip()[:22], "dataset", "calibration_empty"),
        (NPZ[:31], "dataset", "archive_corrupt"),
        (CHECKPOINT[:20], "model", "archive_corrupt"),
        (b"", "model", "file_empty"),
    ],
)
def test_a_file_that_no_parser_would_take_is_refused_with_the_parsers_code(
    content: bytes, purpose: Any, code: str
) -> None:
    refused = sniff(content, purpose)
    assert isinstance(refused, Problem)
    assert (refused.code, bool(refused.hint)) == (code, True)


@pytest.mark.parametrize(
    ("text", "code"),
    [("text,label\nplain,0\nschön,1\n", "csv_invalid"), ('{"text": "plain"}\n{}\n{"text": "schön"}', "jsonl_invalid")],
)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_text_with_a_byte_for_each_letter_is_told_with_its_line_and_the_remedy(
    text: str, code: str, encoding: str
) -> None:
    refused = sniff(text.encode(encoding), "dataset")
    assert isinstance(refused, Problem)
    assert refused.code == code
    assert "not in UTF-8: line 3 has byte 0xF6" in refused.detail
    assert "iconv -f WINDOWS-1252 -t UTF-8" in (refused.hint or "")


@pytest.mark.parametrize("text", ["text,label\nplain,0\nschön,1\n", '{"text": "schön"}\n'])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_of_wide_letters_is_told_with_or_without_a_mark(text: str, encoding: str) -> None:
    refused = sniff(text.encode(encoding), "dataset")
    assert isinstance(refused, Problem)
    assert refused.code == ("csv_invalid" if "," in text else "jsonl_invalid")
    assert ("UTF-32" if encoding == "utf-32" else "UTF-16") in refused.detail
    assert "UTF-8" in (refused.hint or "")


def test_a_name_longer_than_the_head_is_left_to_the_worker() -> None:
    head = _zip("a" * 600)[:HEAD_BYTES]
    assert (sniff(head, "model"), sniff(head, "dataset")) == ("archive", "images")


@given(st.binary(max_size=600))
def test_any_bytes_get_an_answer(head: bytes) -> None:
    for purpose in ("model", "dataset"):
        assert isinstance(sniff(head, purpose), str | Problem)


@given(
    st.sampled_from([NPZ, CHECKPOINT, SAFETENSORS, PARQUET, _tar("w:")]), st.binary(max_size=60), st.integers(0, 400)
)
def test_a_spoiled_file_gets_an_answer(content: bytes, noise: bytes, position: int) -> None:
    head = (content[:position] + noise + content[position + len(noise) :])[:HEAD_BYTES]
    for purpose in ("model", "dataset"):
        assert isinstance(sniff(head, purpose), str | Problem)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("model.onnx", "model.onnx"),
        ("../../etc/passwd", "passwd"),
        ("C:\\models\\m.onnx", "m.onnx"),
        ("", "upload"),
        ("a/", "upload"),
        ("a\x00b\r\nc", "a\ufffdb\ufffd\ufffdc"),
        ("a" * 300 + ".onnx", "a" * 194 + "….onnx"),  # 194 + 1 + 5 = 200
    ],
)
def test_a_filename_is_shown_and_never_used_as_a_path(given_name: str, kept: str) -> None:
    assert safe_filename(given_name) == kept


@given(st.text(max_size=2000))
def test_no_filename_is_too_long_or_unprintable(name: str) -> None:
    kept = safe_filename(name)
    assert 0 < len(kept) <= MAX_QUOTED
    assert kept.isprintable()
    assert "/" not in kept
