import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.ingestion.strict_json import NotStrictJson, parse_json

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES)
def test_what_the_standard_library_writes_is_read_as_it_was(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": {"b": 1, "b": 1}}', "twice"),
        (b"[NaN]", "NaN"),
        (b"-Infinity", "Infinity"),
        (b"1e400", "too large"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udc00": 1}', "surrogate"),
        (b'"\xff"', "UTF-8"),
        (b"[" * 100_000, "deep"),
        (b"[" * 65 + b"]" * 65, "deep"),
        (b"9" * 5000, "digits"),
        (b"{'a': 1}", "property name"),
        (b"", "Expecting value"),
        (b"[1] [2]", "Extra data"),
    ],
)
def test_what_parsers_disagree_on_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(NotStrictJson, match=why):
        parse_json(text)


def test_the_depth_that_is_allowed_is_read() -> None:
    assert parse_json(b"[" * 63 + b"]" * 63)
