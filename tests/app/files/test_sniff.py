from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contracts.problem import MAX_QUOTED, Problem
from app.files.service import safe_filename
from app.files.sniff import HEAD_BYTES, sniff

ONNX_FILES = sorted(Path(onnx.__file__).parent.glob("backend/test/data/simple/*/model.onnx"))


def test_every_model_of_onnxs_own_suite_is_let_in() -> None:
    assert len(ONNX_FILES) > 10
    for path in ONNX_FILES:
        assert sniff(path.read_bytes()[:HEAD_BYTES], "model") == "onnx", path


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"\x80\x04\x95", b"GGUF", bytes(257) + b"ustar", b"vtrt", b"\x7fELF"])
def test_other_formats_are_named(head: bytes) -> None:
    refused = sniff(head, "model")
    assert isinstance(refused, Problem)
    assert "not an ONNX model" not in refused.detail


@given(st.binary(max_size=600))
def test_any_bytes_get_an_answer(head: bytes) -> None:
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
