import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.ingestion.strict_json import (
    NamedTwice,
    NotStrictJson,
    TooMuchJson,
    UnboundedNumber,
    parse_json,
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


def test_brackets_in_strings_are_no_depth() -> None:
    assert parse_json(b'["[[[[\\"[[[["]', max_depth=1) == ['[[[["[[[[']


def test_a_string_without_an_end_takes_no_longer_than_it_is() -> None:
    started = time.process_time()
    with pytest.raises(NotStrictJson):
        parse_json(b'["' + b'\\"' * 500_000)
    assert time.process_time() - started < 2
