import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contracts.strict_json import (
    NamedTwice,
    NotStrictJson,
    TooMuchJson,
    UnboundedNumber,
    parse_json,
    read_json,
)

TEXTS = st.text(st.characters(codec="utf-8"))
NUMBERS = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(value=VALUES, ascii_only=st.booleans())
def test_what_the_standard_writer_writes_is_read(value: Any, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b'{"a":1,"a":1}', NamedTwice),
        (b'{"x":{"a":1,"b":2,"a":3}}', NamedTwice),
        (b'{"a":1,"\\u0061":2}', NamedTwice),
        (b"NaN", UnboundedNumber),
        (b"-Infinity", UnboundedNumber),
        (b"1e999", UnboundedNumber),
        (b"9" * 100, UnboundedNumber),
        (b"[" * 65 + b"]" * 65, TooMuchJson),
        (b"[" * 100_000, TooMuchJson),
        (b'"\\ud800"', NotStrictJson),
        (b'{"\\udc00":1}', NotStrictJson),
        (b"\xff", NotStrictJson),
        (b"\xef\xbb\xbf{}", NotStrictJson),
        (b"", NotStrictJson),
        (b"{'a':1}", NotStrictJson),
        (b"[1,]", NotStrictJson),
        (b'"a\nb"', NotStrictJson),
        (b"{} {}", NotStrictJson),
    ],
)
def test_what_readers_could_disagree_on_is_refused(text: bytes, error: type[NotStrictJson]) -> None:
    with pytest.raises(NotStrictJson) as found:
        parse_json(text)
    assert type(found.value) is error


def test_a_number_has_64_digits_and_a_document_64_levels_and_no_more() -> None:
    assert parse_json(b"9" * 64) == 10**64 - 1
    assert json.dumps(parse_json(b"[" * 64 + b"]" * 64)) == "[" * 64 + "]" * 64
    for text, error in ((b"9" * 65, UnboundedNumber), (b"[" * 65 + b"]" * 65, TooMuchJson)):
        with pytest.raises(error):
            parse_json(text)


def test_a_negative_zero_keeps_its_sign() -> None:
    assert math.copysign(1, parse_json(b"-0")) == -1


def test_a_file_may_be_as_long_as_its_limit(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_bytes(b"[1, 2]")
    assert read_json(tmp_path / "file.json", max_bytes=6) == [1, 2]
    with pytest.raises(TooMuchJson):
        read_json(tmp_path / "file.json", max_bytes=5)


def test_brackets_in_strings_are_no_depth() -> None:
    assert parse_json(b'["[[[[\\"[[[["]', max_depth=1) == ['[[[["[[[[']


@pytest.mark.parametrize("string", ['"a"', '"[\\""', '"\\\\"', '""'])
def test_brackets_behind_a_string_count(string: str) -> None:
    text = f"[{string}, {'[' * 64}{']' * 64}]"
    with pytest.raises(TooMuchJson):
        parse_json(text)
    assert parse_json(text, max_depth=65)[0] == json.loads(string)


def test_a_string_without_an_end_takes_no_longer_than_it_is() -> None:
    started = time.process_time()
    with pytest.raises(NotStrictJson):
        parse_json(b'["' + b'\\"' * 500_000)
    assert time.process_time() - started < 2
