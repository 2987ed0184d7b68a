import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save, save_file

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.checkpoint.safetensors_bytes import file_of, tensor
from workers.ingestion.checkpoint.safetensors_header import BITS, StoredTensor, read_tensors, tensors_of

GOOD = {"a": tensor("F32", [1], 0, 4), "b": tensor("F16", [2], 4, 8)}


def ours(data: bytes) -> list[str] | str:
    """The names of the tensors, or the code of the refusal."""
    try:
        return [found.name for found in tensors_of(io.BytesIO(data), len(data), entry="x.safetensors")]
    except ProblemFound as found:
        return found.problem.code


def accepted_by_the_library(data: bytes) -> bool:
    try:
        deserialize(data)
    except SafetensorError:
        return False
    return True


def test_the_tensors_of_a_file_are_listed_in_the_order_of_their_data(tmp_path: Path) -> None:
    arrays = {"b": np.zeros((2, 3), np.float16), "a": np.zeros(5, np.float32), "empty": np.zeros((0, 7), np.float32)}
    save_file(arrays, tmp_path / "x.safetensors", metadata={"format": "pt"})
    found = read_tensors(tmp_path / "x.safetensors")
    assert {t.name: (t.dtype, t.shape, t.elements) for t in found} == {
        "a": ("F32", (5,), 5),
        "b": ("F16", (2, 3), 6),
        "empty": ("F32", (0, 7), 0),
    }
    assert [(t.begin, t.end) for t in found] == sorted((t.begin, t.end) for t in found)
    assert found[-1].end == 5 * 4 + 6 * 2


def test_a_header_may_be_padded_and_may_list_tensors_in_any_order() -> None:
    swapped = json.dumps(dict(reversed(GOOD.items()))).encode() + b"   "
    assert ours(file_of(swapped, b"12345678")) == ["a", "b"]


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 0, 1, 10_000, 100_000_001])
def test_a_header_that_the_file_cannot_hold_is_refused(length: int) -> None:
    assert ours(file_of(GOOD, b"12345678", length=length)) == "safetensors_invalid"


def test_a_header_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write((100_000_001).to_bytes(8, "little"))
        file.truncate(200_000_000)  # a hole: it takes no room
    with pytest.raises(ProblemFound) as found:
        read_tensors(path)
    assert found.value.problem.code == "safetensors_invalid"
    stream = io.BytesIO((100_000_001).to_bytes(8, "little") + b"{")
    with pytest.raises(ProblemFound):
        tensors_of(stream, 200_000_000, entry="x")
    assert stream.tell() == 8


@pytest.mark.parametrize(("axes", "characters"), [(16, 1), (1, 500), (17, 1), (1, 501)])
def test_a_tensor_may_have_16_axes_and_a_name_of_500_characters(axes: int, characters: int) -> None:
    name = "n" * characters
    expected = [name] if axes <= 16 and characters <= 500 else "safetensors_invalid"
    assert ours(file_of({name: tensor("U8", [1] * axes, 0, 1)}, b"x")) == expected


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b'{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b'{"__metadata__":{"k":"1","k":"2"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
    ],
    ids=["a tensor", "a member", "metadata"],
)
def test_a_name_that_comes_twice_is_refused(header: bytes) -> None:
    assert ours(file_of(header, b"1")) == "safetensors_duplicate_key"


WRONG: dict[str, tuple[Any, bytes]] = {
    "pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00", b""),
    "overlap": ({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 2, 6)}, b"123456"),
    "same place": ({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 0, 4)}, b"1234"),
    "hole": ({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 8, 12)}, b"x" * 12),
    "hole before the first": ({"a": tensor("F32", [1], 4, 8)}, b"x" * 8),
    "trailing bytes": (GOOD, b"x" * 9),
    "cut off": (GOOD, b"x" * 7),
    "ends before it begins": ({"a": tensor("F32", [1], 4, 0)}, b"1234"),
    "empty tensor within another": ({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [0], 2, 2)}, b"1234"),
    "empty tensor behind the end": ({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [0], 8, 8)}, b"1234"),
    "more bytes than the shape": ({"a": tensor("F32", [1], 0, 8)}, b"x" * 8),
    "fewer bytes than the shape": ({"a": tensor("F32", [3], 0, 8)}, b"x" * 8),
    "overflowing shape": ({"a": tensor("U8", [2**32, 2**32], 0, 0)}, b""),
    "negative": ({"a": tensor("U8", [-1], 0, 1)}, b"1"),
    "truth as an extent": ({"a": tensor("U8", [True], 0, 1)}, b"1"),
    "a fraction": ({"a": tensor("U8", [1.0], 0, 1)}, b"1"),
    "unknown dtype": ({"a": tensor("F128", [1], 0, 16)}, b"x" * 16),
    "dtype of another type": ({"a": {**GOOD["a"], "dtype": ["F32"]}}, b"1234"),
    "unknown member": ({"a": {**GOOD["a"], "x": 1}}, b"1234"),
    "missing member": ({"a": {"dtype": "F32", "shape": [1]}}, b"1234"),
    "tensor as a list": ({"a": ["F32", [1], [0, 4]]}, b"1234"),
    "not aligned to its elements": ({"a": tensor("U8", [1], 0, 1), "b": tensor("F32", [1], 1, 5)}, b"12345"),
    "header is a list": (b"[]", b""),
    "space before the header": (b" {}", b""),
    "bytes behind the header": (b"{}\0", b""),
    "deep": (b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}", b""),
    "metadata with numbers": ({"__metadata__": {"a": 1}}, b""),
    "nameless": ({"": tensor("U8", [1], 0, 1)}, b"1"),
    "not UTF-8": (b'{"\xff":1}', b""),
}


@pytest.mark.parametrize(("header", "data"), WRONG.values(), ids=WRONG)
def test_a_header_that_contradicts_the_file_or_the_format_is_refused(header: Any, data: bytes) -> None:
    assert ours(file_of(header, data)) == "safetensors_invalid"


EXTENTS = st.lists(st.integers(0, 4), max_size=3)


@st.composite
def honest_files(draw: st.DrawFn) -> bytes:
    names = draw(st.lists(st.text("abc.", min_size=1, max_size=4), unique=True, max_size=4))
    dtype = st.sampled_from([np.float32, np.float16, np.int64, np.uint8, np.bool_])
    return save({name: np.zeros(draw(EXTENTS), draw(dtype)) for name in names}, metadata={"format": "np"})


@given(data=honest_files())
@settings(max_examples=100, deadline=None)
def test_what_the_library_writes_is_read_as_it_reads_it(data: bytes) -> None:
    found = tensors_of(io.BytesIO(data), len(data), entry="x")
    theirs = {name: (facts["dtype"], tuple(facts["shape"]), len(facts["data"])) for name, facts in deserialize(data)}
    assert {t.name: (t.dtype, t.shape, t.end - t.begin) for t in found} == theirs


@st.composite
def changed_headers(draw: st.DrawFn) -> bytes:
    """A sound file with one to three numbers, words or bytes of its header replaced."""
    header: dict[str, Any] = {
        "a": tensor("F32", [2, 1], 0, 8),
        "b": tensor("U8", [3], 8, 11),
        "__metadata__": {"k": "v"},
    }
    for _ in range(draw(st.integers(1, 3))):
        facts = header[draw(st.sampled_from(["a", "b"]))]
        numbers = facts[draw(st.sampled_from(["shape", "data_offsets"]))]
        numbers[draw(st.integers(0, len(numbers) - 1))] = draw(
            st.one_of(st.integers(-2, 12), st.sampled_from([2**31, 2**63, 2**64, 1.0, True, None, "1"]))
        )
        if draw(st.booleans()):
            facts["dtype"] = draw(st.sampled_from([*BITS, "F8", "", None, 4]))
    data = bytearray(file_of(header, b"x" * draw(st.integers(10, 12))))
    if draw(st.booleans()):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@given(data=changed_headers())
@settings(max_examples=150, deadline=None)
def test_whatever_is_accepted_the_library_accepts_with_the_same_content(data: bytes) -> None:
    found = ours(data)
    if isinstance(found, str):
        assert found in {"safetensors_invalid", "safetensors_duplicate_key"}
    else:
        assert sorted(name for name, _ in deserialize(data)) == sorted(found)


@given(extra=st.binary(max_size=3), where=st.integers(0, 200))
@settings(max_examples=100, deadline=None)
def test_what_the_library_refuses_is_refused(extra: bytes, where: int) -> None:
    whole = file_of(GOOD, b"12345678")
    data = whole[:where] + extra + whole[where + len(extra) :]
    if not accepted_by_the_library(data):
        assert isinstance(ours(data), str)


def test_elements_are_counted_from_the_shape() -> None:
    assert StoredTensor("a", "F32", (2, 3, 4), 0, 96).elements == 24
    assert StoredTensor("a", "F32", (), 0, 4).elements == 1
