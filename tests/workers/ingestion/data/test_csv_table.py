import csv
import io
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contracts.problem import Problem, ProblemFound
from tests.workers.ingestion.data.tables import rows_of
from workers.ingestion.data.csv_table import open_csv


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "data.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(path: Path, **options: Any) -> Problem:
    with pytest.raises(ProblemFound) as found:
        open_csv(path, **options)
    return found.value.problem


def test_columns_are_whole_numbers_numbers_or_text_as_all_their_fields_allow(tmp_path: Path) -> None:
    table = open_csv(written(tmp_path, "text,label,score,code\n7,1,1,01\nx,-2,2.5e1,a\n"))
    assert [(c.name, c.dtype) for c in table.columns] == [
        ("text", "string"), ("label", "int64"), ("score", "float64"), ("code", "string"),
    ]  # fmt: skip
    assert rows_of(table) == [
        {"text": "7", "label": 1, "score": 1.0, "code": "01"},
        {"text": "x", "label": -2, "score": 25.0, "code": "a"},
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_the_one_of_the_header(tmp_path: Path, delimiter: str) -> None:
    table = open_csv(written(tmp_path, f'"a, b; c"{delimiter}n\n"x, y; z"{delimiter}1\n'))
    assert rows_of(table) == [{"a, b; c": "x, y; z", "n": 1}]


def test_fields_in_quotes_hold_delimiters_quotes_and_lines(tmp_path: Path) -> None:
    table = open_csv(written(tmp_path, 'text,n\r\n"a ""quoted"", one\r\nof two lines",1\r\n"",2\r\n'))
    assert [row["text"] for row in rows_of(table)] == ['a "quoted", one\r\nof two lines', ""]


def test_a_sample_is_placed_at_the_line_it_begins_in(tmp_path: Path) -> None:
    table = open_csv(written(tmp_path, 'text\n"two\nlines"\nx\n'))
    assert [table.place(0), table.place(1)] == ["Line 2", "Line 4"]


def test_a_byte_order_mark_and_empty_lines_at_the_end_are_no_content(tmp_path: Path) -> None:
    assert rows_of(open_csv(written(tmp_path, b"\xef\xbb\xbfa,b\n1,2\n\n\n"))) == [{"a": 1, "b": 2}]


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("a,b\n1,2\n3\n", 3, "has 1 fields; the header has 2"),
        ("a,b\n1,2,3\n", 2, "has 3 fields"),
        ('a,b\n"x\ny",1\n1,2,3\n', 4, "has 3 fields"),
        ("a,b\n1,2\n\n3,4\n", 3, "is empty"),
        ("\na,b\n1,2\n", 1, "is empty"),
        ('a,b\n"x"y,2\n', 2, "is not a record"),
        ('a,b\n"x,2\n3,4\n', 2, "is not a record"),
        ("a,b\n1\r2,3\n", 2, "is not a record"),
        ("a\n" + "x" * 200_000 + "\n", 2, "field larger than field limit"),
        ("a,a\n1,2\n", 1, "twice"),
        (",text\n0,x\n", 1, "without a name"),
        ("0.1,2\n1,2\n", 1, "holds numbers"),
        ("x" * 201 + "\n1\n", 1, "longer than 200"),
        (",".join(f"c{i}" for i in range(257)) + "\n", 1, "257 columns"),
        ("n,t\n1,x\n,y\n3,z\n", 3, "has no number for n"),
        ("n\n1.5\nNaN\n", 3, "has no number for n"),
        (b"a\n\xff\n", 2, "is not UTF-8: it has byte 0xFF at position 1"),
        (b"a\nb\ncaf\xe9\n", 3, "is not UTF-8: it has byte 0xE9 at position 4"),
        (b"a\nx\0y\n", 2, "zero byte"),
        ("a,b\n1,2\n".encode("utf-16"), 1, "UTF-16"),
        ('a\n"' + "x" * 100 + "\n" * (1 << 20), None, "is not a record"),
        ("a\n" + ",".join(['"' + ("x" * 999 + "\n") * 100 + '"'] * 20), None, "belongs to a record longer"),
    ],
)
def test_what_is_wrong_is_told_with_the_number_of_its_line(
    tmp_path: Path, content: Any, line: int | None, says: str
) -> None:
    problem = refused(written(tmp_path, content))
    assert problem.code == "csv_invalid"
    assert says in problem.detail
    assert problem.detail.startswith(f"Line {line} " if line else "Line ")
    assert len(problem.model_dump_json()) < 2000


def test_the_index_that_pandas_writes_is_told_how_to_leave_out(tmp_path: Path) -> None:
    assert "index=False" in (refused(written(tmp_path, ",text\n0,x\n")).hint or "")


@pytest.mark.parametrize("content", ["", "a,b\n", "a,b\n\n"])
def test_a_file_without_records_is_empty(tmp_path: Path, content: str) -> None:
    assert refused(written(tmp_path, content)).code == "calibration_empty"


@pytest.mark.parametrize(
    "field", ["1" * 100_000 + "x", " " * 100_000 + "x", "1." + "0" * 100_000 + "e", "+" + "7" * 100_000]
)
def test_a_field_of_many_digits_is_judged_at_once(tmp_path: Path, field: str) -> None:
    """A pattern that tries every place to cut the digits in two would take minutes for the first of them."""
    started = time.process_time()
    assert open_csv(written(tmp_path, f"a,b\n1,{field}\n")).columns[1].dtype == "string"
    assert time.process_time() - started < 1


CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
FIELDS = st.text(CHARACTERS, max_size=8).map("x{}".format)
"""None of them is a number, and none of them stands for one that is missing."""


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 3).flatmap(
        lambda width: st.lists(st.lists(FIELDS, min_size=width, max_size=width), min_size=1, max_size=5)
    ),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_fields_are_those_of_the_csv_module(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str, end: str
) -> None:
    names = [f"c{i}" for i in range(len(rows[0]))]
    content = io.StringIO()
    # a first column of text, so that no number is read out of it; one column alone has no delimiter to be seen
    writer = csv.writer(content, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["first", *names], *(["text", *row] for row in rows)])
    table = open_csv(written(tmp_path_factory.getbasetemp(), content.getvalue()))
    assert table.num_samples == len(rows)
    for row, expected in zip(rows_of(table), rows, strict=True):
        for name, field in zip(names, expected, strict=True):
            assert row[name] == field


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_leads_to_anything_but_rows_or_a_problem(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    damaged = bytearray(b'text;label;x\n"a; ""b""\nc";0;1.5\nd;1;2e3\n')
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = written(tmp_path_factory.getbasetemp(), bytes(damaged[: data.draw(st.integers(1, len(damaged)))]))
    assert code_or_rows(path) in {"csv_invalid", "calibration_empty", "rows"}


def code_or_rows(path: Path) -> str:
    try:
        table = open_csv(path)
    except ProblemFound as found:
        return found.problem.code
    assert len(rows_of(table)) == table.num_samples
    assert table.place(table.num_samples - 1).startswith("Line ")
    return "rows"
