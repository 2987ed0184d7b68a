"""Two fingerprints side by side."""

import math
from typing import Any

import pytest

from benchmarks.fingerprints.comparison import ABSENT, Difference, differences, facts
from benchmarks.fingerprints.report import SHOWN, Compared, summary

ONE: dict[str, Any] = {"warnings": [], "variants": {"int8": {"role": "candidate", "layers": [{"sqnr_db": 31.25}]}}}


def changed(sqnr_db: float) -> dict[str, Any]:
    return {"warnings": [], "variants": {"int8": {"role": "candidate", "layers": [{"sqnr_db": sqnr_db}]}}}


def test_equal_fingerprints_have_no_difference() -> None:
    assert differences(ONE, changed(31.25)) == []
    # the empty list of warnings is a fact as well: warnings, role, sqnr_db
    assert facts(ONE) == 3


def test_the_last_bit_of_a_figure_counts_and_is_named() -> None:
    after = math.nextafter(31.25, math.inf)
    (found,) = differences(ONE, changed(after))
    assert found == Difference("variants.int8.layers[0].sqnr_db", "31.25", repr(after))


@pytest.mark.parametrize(("before", "after"), [(0.0, -0.0), (1, True), (1, 1.0), (None, 0.0), ([], {}), ([], [0])])
def test_values_that_python_or_a_reader_may_take_for_equal_differ(before: object, after: object) -> None:
    assert differences({"a": before}, {"a": after})
    assert not differences({"a": before}, {"a": before})


def test_what_only_one_has_is_a_difference() -> None:
    assert differences({"a": 1}, {"b": 1}) == [Difference("a", "1", ABSENT), Difference("b", ABSENT, "1")]


def test_a_case_says_what_differs_in_it() -> None:
    equal, different = Compared("demo", ONE, ONE), Compared("digits", ONE, changed(1.0))
    assert equal.lines() == ["equal     demo: 1 candidates, 3 facts"]
    assert different.lines() == [
        "different digits: 1 candidates, 3 facts",
        "    variants.int8.layers[0].sqnr_db: 31.25 -> 1.0",
    ]
    assert (equal.is_equal, different.is_equal) == (True, False)
    assert summary([equal, different]) == (
        "1 of 2 cases are equal to the last bit, with 2 candidates; 2 have the same files."
    )


def test_other_files_come_before_other_words_about_them() -> None:
    before = {"variants": {"int8": {"role": "candidate", "label": "a", "files": {"m.onnx": {"sha256": "1"}}}}}
    after = {"variants": {"int8": {"role": "candidate", "label": "b", "files": {"m.onnx": {"sha256": "2"}}}}}
    case = Compared("demo", before, after)
    assert case.lines()[1:] == [
        '    variants.int8.files.m.onnx.sha256: "1" -> "2"',
        '    variants.int8.label: "a" -> "b"',
    ]
    assert not case.has_equal_files


def test_many_differences_are_counted() -> None:
    numbers = list(range(SHOWN + 3))
    lines = Compared("demo", {"a": numbers}, {"a": [-1 - n for n in numbers]}).lines()
    assert len(lines) == 1 + SHOWN + 1
    assert lines[-1].strip() == "... and 3 more"
