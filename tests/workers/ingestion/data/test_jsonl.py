import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contracts.problem import Problem, ProblemFound
from tests.fuzz.jsonl import one_input
from tests.workers.ingestion.data.tables import rows_of
from workers.ingestion.data.jsonl import open_jsonl


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "data.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(path: Path, **options: Any) -> Problem:
    with pytest.raises(ProblemFound) as found:
        open_jsonl(path, **options)
    return found.value.problem


def test_texts_numbers_and_lists_become_columns(tmp_path: Path) -> None:
    lines = [
        {"text": f"line {i} \U0001f600", "label": i, "score": i / 2, "good": i > 3, "ids": [[i, 1], [2, 3]]}
        for i in range(7)
    ]
    table = open_jsonl(written(tmp_path, "\n".join(map(json.dumps, lines))))
    found = {c.name: (c.dtype, c.shape) for c in table.columns}
    assert found == {
        "text": ("string", (7,)), "label": ("int64", (7,)), "score": ("float64", (7,)), "good": ("bool", (7,)),
        "ids": ("int64", (7, 2, 2)),
    }  # fmt: skip
    assert rows_of(table) == lines
    assert [len(b["ids"]) for b in table.batches(4, names=("ids",), limit=6)] == [4, 2]


def test_whole_numbers_among_others_make_a_column_of_numbers(tmp_path: Path) -> None:
    table = open_jsonl(written(tmp_path, '{"x": 1, "y": [1, 2]}\n{"x": 0.5, "y": [0.5, 2]}\n'))
    assert [(c.name, c.dtype) for c in table.columns] == [("x", "float64"), ("y", "float64")]
    assert rows_of(table) == [{"x": 1.0, "y": [1.0, 2.0]}, {"x": 0.5, "y": [0.5, 2.0]}]


def test_keys_may_come_in_any_order_and_the_file_may_end_in_empty_lines(tmp_path: Path) -> None:
    table = open_jsonl(written(tmp_path, '{"a": 1, "b": "x"}\r\n{"b": "y", "a": 2}\r\n\n  \n'))
    assert rows_of(table) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_one_byte_order_mark_is_dropped_and_two_are_not(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    assert rows_of(open_jsonl(written(tmp_path, mark + b'{"a": 1}\n'))) == [{"a": 1}]
    assert refused(written(tmp_path, mark * 2 + b'{"a": 1}\n')).code == "jsonl_invalid"
    assert "Line 2" in refused(written(tmp_path, b'{"a": 1}\n' + mark + b'{"a": 1}\n')).detail


GOOD = b'{"a": 1}\n'


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e400}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"a": 9223372036854775808}', "64 bits"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udc00": 1}', "surrogate"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": "' + b"\xff" + b'"}', "UTF-8"),
        (b'{"a": "' + b"\xed\xa0\x80" + b'"}', "UTF-8"),
        (b"[" * 100_000, "deep"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep"),
        (b'{"a": ' + b"[" * 30 + b"1" + b"]" * 30 + b"}", "deep"),
        (b'{"a": 1', "JSON"),
        (b'{"a": 1} {"a": 2}', "JSON"),
        (b"{'a': 1}", "JSON"),
        (b"[1, 2]", "object"),
        (b"17", "object"),
        (b'{"a": "one"}', "a text for a; the lines before have a whole number"),
        (b'{"a": true}', "true or false"),
        (b'{"a": [1]}', "a list of 1"),
        (b'{"a": null}', "null"),
        (b'{"a": {"b": 1}}', "an object for a"),
        (b'{"b": 1}', "has no a"),
        (b'{"a": 1, "b": 1}', "has b"),
        (b'{"a": []}', "empty list"),
        (b'{"a": [[1], [2, 3]]}', "differ in length"),
        (b'{"a": ["x"]}', "more than numbers"),
        (b'{"a": [1, null]}', "more than numbers"),
        (b'{"a": [18446744073709551616]}', "more than numbers"),
        (b'{"a": 1}\0', "zero byte"),
        (b"\n" + GOOD.strip(), "is empty"),
    ],
)
def test_what_is_wrong_is_told_with_the_number_of_its_line(tmp_path: Path, second: bytes, says: str) -> None:
    problem = refused(written(tmp_path, GOOD + second + b"\n" + GOOD))
    assert problem.code == "jsonl_invalid"
    assert problem.detail.startswith("Line 2 ")
    assert says in problem.detail
    assert len(problem.model_dump_json()) < 2000
    assert problem.hint


def test_texts_in_a_list_are_refused_before_each_takes_the_room_of_the_longest(tmp_path: Path) -> None:
    """Numpy would take 2,000 * 20,000 * 4 bytes for them."""
    path = written(tmp_path, json.dumps({"a": [["x" * 20_000, *["y"] * 2000]]}))
    tracemalloc.start()
    try:
        assert "more than numbers" in refused(path).detail
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_lists_of_other_lengths_are_refused_with_a_way_out(tmp_path: Path) -> None:
    problem = refused(written(tmp_path, '{"input_ids": [1, 2]}\n{"input_ids": [1, 2, 3]}\n'))
    assert "Line 2 has a list of 3 (int64) for input_ids; the lines before have a list of 2 (int64)" in problem.detail
    assert "one length" in (problem.hint or "")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    problem = refused(written(tmp_path, '{"a": "b"}\n'.encode(encoding)))
    assert problem.code == "jsonl_invalid"
    assert "UTF-8" in (problem.hint or "")


@pytest.mark.parametrize("name", ["", "x" * 201, "a\\nb", "\\u202e"])
def test_names_that_no_report_can_repeat_are_refused(tmp_path: Path, name: str) -> None:
    assert "Line 1 has a key" in refused(written(tmp_path, f'{{"{name}": 1}}\n')).detail


@pytest.mark.parametrize("content", ["", "\n", "\n\n \n", "\ufeff"])
def test_a_file_without_lines_is_empty(tmp_path: Path, content: str) -> None:
    assert refused(written(tmp_path, content)).code == "calibration_empty"


def test_digits_that_unpack_to_too_much_are_refused(tmp_path: Path) -> None:
    # 100 lines of 50 numbers are 100 * 50 * 8 bytes
    path = written(tmp_path, (json.dumps({"x": [1] * 50}) + "\n") * 100)
    assert open_jsonl(path, max_unpacked_bytes=40_000).num_samples == 100
    assert refused(path, max_unpacked_bytes=39_999).code == "calibration_too_large"


CHILD = """
import sys, time
from pathlib import Path
from app.contracts.problem import ProblemFound
from workers.ingestion.data.jsonl import open_jsonl
start = time.monotonic()
try:
    open_jsonl(Path(sys.argv[1]))
except ProblemFound as found:
    print(found.problem.code, found.problem.detail.split(" is ")[0], sep=",", end=",")
print(time.monotonic() - start, end=",")
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.parametrize("head", [b"", b'{"a": 1}\n{"a": ['])
def test_a_line_of_a_gigabyte_is_refused_at_once_and_in_little_memory(tmp_path: Path, head: bytes) -> None:
    path = written(tmp_path, head)
    with path.open("r+b") as file:
        file.truncate(1 << 30)  # zeros that take no room on the disk
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    code, place, seconds, peak_kib = done.stdout.split(",")
    assert (code, place) == ("jsonl_invalid", f"Line {head.count(10) + 1}")
    assert float(seconds) < 1.0
    assert int(peak_kib) < 256 * 1024


KINDS = {
    "whole": st.integers(-(1 << 63), (1 << 63) - 1),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(),
    "text": st.text(st.characters(exclude_categories=("Cs",)), max_size=10),
    "list": st.lists(st.integers(-100, 100), min_size=2, max_size=2),
}
ROWS = st.sets(st.sampled_from(sorted(KINDS)), min_size=1).flatmap(
    lambda names: st.lists(st.fixed_dictionaries({name: KINDS[name] for name in names}), min_size=1, max_size=5)
)


@settings(max_examples=60, deadline=None)
@given(lines=ROWS, ascii_only=st.booleans())
def test_rows_are_those_of_the_json_module(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Any], ascii_only: bool
) -> None:
    content = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in lines)
    assert rows_of(open_jsonl(written(tmp_path_factory.getbasetemp(), content)), rows=2) == lines


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_leads_to_anything_but_rows_or_a_problem(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    lines = '{"text": "\\u00e9 one", "label": 0, "ids": [1, 2.5]}\n{"text": "two", "label": 1, "ids": [3, 4e3]}\n'
    damaged = bytearray(lines.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    one_input(bytes(damaged[: data.draw(st.integers(1, len(damaged)))]))
