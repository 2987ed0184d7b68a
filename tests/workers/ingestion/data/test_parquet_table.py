import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contracts.problem import Problem, ProblemFound
from tests.workers.ingestion.data.tables import rows_of
from workers.ingestion.data.parquet_table import open_parquet


def written(folder: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "data.parquet", **options)
    return folder / "data.parquet"


def refused(path: Path, **options: Any) -> Problem:
    with pytest.raises(ProblemFound) as found:
        rows_of(open_parquet(path, **options), rows=64)
    return found.value.problem


@pytest.mark.parametrize("row_group_size", [3, 100])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_rows_are_those_that_arrow_wrote(tmp_path: Path, row_group_size: int, compression: str) -> None:
    columns = {
        "text": [f"row {i % 3} \u00e9" for i in range(10)],
        "large": pa.array(["x"] * 10, pa.large_string()),
        "word": pa.array(["a", "b"] * 5).dictionary_encode(),
        "x": pa.array(np.arange(10), pa.float32()),
        "half": pa.array(np.arange(10, dtype=np.float16)),
        "flag": [i > 5 for i in range(10)],
        "small": pa.array(range(10), pa.uint8()),
        "fixed": pa.array([[i, 1.5] for i in range(10)], pa.list_(pa.float32(), 2)),
        "nested": pa.array([[[i, 1], [2, 3], [4, 5]] for i in range(10)], pa.large_list(pa.list_(pa.int64()))),
    }
    table = open_parquet(written(tmp_path, columns, row_group_size=row_group_size, compression=compression))
    assert {c.name: (c.dtype, c.shape) for c in table.columns} == {
        "text": ("string", (10,)), "large": ("string", (10,)), "word": ("string", (10,)), "x": ("float32", (10,)),
        "half": ("float16", (10,)), "flag": ("bool", (10,)), "small": ("uint8", (10,)),
        "fixed": ("float32", (10, 2)), "nested": ("int64", (10, 3, 2)),
    }  # fmt: skip
    assert [len(b["x"]) for b in table.batches(4)] == [4, 4, 2]
    assert rows_of(table, rows=4) == pa.table(columns).to_pylist()
    assert [b["x"].tolist() for b in table.batches(4, names=("x",), limit=6)] == [[0, 1, 2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pa.array(["a", None]), "without a value"),
        (pa.array([1, None]), "without a value"),
        (pa.array([[1], None]), "without a value"),
        (pa.array([[1], [None]]), "without a value"),
        (pa.array([[1], [2, 3]]), "differ in length"),
        (pa.array([[1], [2, 3], []]), "differ in length"),
        (pa.array([[1, 2], [1], [2, 2, 2]]), "differ in length"),
        (pa.array([[[1], [2]], [[1, 2], []]]), "differ in length"),
        (pa.array([[], []], pa.list_(pa.int64())), "empty list"),
        (pa.array([["a"], ["b"]]), "list<"),
        (pa.array([b"a", b"b"]), "binary"),
        (pa.array([1, 2], pa.timestamp("s")), "timestamp"),
        (pa.array([{"a": 1}, {"a": 2}]), "struct"),
        (pa.array([1, 2], pa.decimal128(5, 2)), "decimal"),
        (pa.nulls(2), "null"),
        (pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((2, 2, 2), np.float32)), "extension type"),
        (pa.array(["a", "x" * ((1 << 20) + 1)]), "longer than"),
    ],
)
def test_columns_that_cannot_be_samples_are_refused_by_name(tmp_path: Path, column: pa.Array, says: str) -> None:
    problem = refused(written(tmp_path, {"odd": column}))
    assert problem.code == "parquet_invalid"
    assert "odd" in problem.detail
    assert says in problem.detail
    assert problem.hint


def test_an_unknown_extension_type_is_refused(tmp_path: Path) -> None:
    field = pa.field("odd", pa.int64(), metadata={"ARROW:extension:name": "arrow.py_extension_type"})
    pq.write_table(pa.table([pa.array([1, 2])], schema=pa.schema([field])), tmp_path / "data.parquet")
    assert "extension type" in refused(tmp_path / "data.parquet").detail


def test_names_are_plain_different_and_not_too_many(tmp_path: Path) -> None:
    def with_names(*names: str) -> Path:
        pq.write_table(pa.table([pa.array([1])] * len(names), names=list(names)), tmp_path / "data.parquet")
        return tmp_path / "data.parquet"

    assert "same name" in refused(with_names("a", "a")).detail
    assert "told apart" in refused(with_names("a", "a.b")).detail
    assert "not printable" in refused(with_names("a\n")).detail
    assert "257 columns" in refused(with_names(*(f"c{i}" for i in range(257)))).detail


def test_a_file_without_rows_is_empty(tmp_path: Path) -> None:
    assert refused(written(tmp_path, {"a": pa.array([], pa.int64())})).code == "calibration_empty"


def replaced(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    assert old in data[footer:]
    path.write_bytes(data[:footer] + data[footer:].replace(old, new))
    return path


def test_forged_counts_are_refused(tmp_path: Path) -> None:
    # in the footer, 1,000 is written as the zigzag varint of 2,000: D0 0F; 1,001 is D2 0F
    def path() -> Path:
        return written(tmp_path, {"a": pa.array(np.arange(1000))}, compression="none", write_statistics=False)

    assert len(rows_of(open_parquet(path()), rows=64)) == 1000
    for old, new in ((b"\xd0\x0f", b"\xd2\x0f"), (b"\x16\xd0\x0f", b"\x16\xd2\x0f")):
        assert refused(replaced(path(), old, new)).code == "parquet_invalid"


def test_what_begins_or_ends_otherwise_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path, {"a": [1, 2, 3]}).read_bytes()
    far = (1 << 31).to_bytes(4, "little")
    for damaged in (b"", b"PAR1", data[:-1], data[4:], data[:-4] + b"PARE", data[:-8] + far + b"PAR1", b"PAR1" * 3):
        (tmp_path / "data.parquet").write_bytes(damaged)
        problem = refused(tmp_path / "data.parquet")
        assert problem.code == "parquet_invalid"
        assert str(tmp_path) not in problem.model_dump_json()


@pytest.mark.parametrize(
    "thrift", [b"\xff" * 64, b"\0" * 64, b"\x15\x04\x19" + b"\xfc" * 61, b"\x19\xfc\xff\xff\xff\x0f" * 10]
)
def test_a_footer_that_is_no_thrift_is_refused(tmp_path: Path, thrift: bytes) -> None:
    (tmp_path / "data.parquet").write_bytes(b"PAR1" + thrift + len(thrift).to_bytes(4, "little") + b"PAR1")
    problem = refused(tmp_path / "data.parquet")
    assert problem.code == "parquet_invalid"
    assert str(tmp_path) not in problem.model_dump_json()


def test_a_footer_beyond_all_use_is_refused(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("a", pa.int64())], metadata={"k": "x" * (9 << 20)})
    pq.write_table(pa.table([pa.array([1])], schema=schema), tmp_path / "data.parquet")
    assert refused(tmp_path / "data.parquet").code == "parquet_invalid"


def test_sizes_are_limited_by_what_the_columns_unpack_to(tmp_path: Path) -> None:
    path = written(tmp_path, {"a": pa.array(np.zeros(1000))})
    assert open_parquet(path, max_unpacked_bytes=8000).num_samples == 1000
    assert refused(path, max_unpacked_bytes=7999).code == "calibration_too_large"
    path = written(tmp_path, {"t": ["x" * 1000] * 1000})
    assert path.stat().st_size < 5000
    assert refused(path, max_unpacked_bytes=999_999).code == "calibration_too_large"


def test_a_bomb_is_told_by_its_footer(tmp_path: Path) -> None:
    zeros = pa.array(np.zeros(9 << 20))
    path = written(tmp_path, {"a": zeros}, compression="zstd", use_dictionary=False)
    assert refused(path).code == "archive_bomb"


CHILD = """
import sys
from pathlib import Path
import pyarrow as pa
from workers.ingestion.data.parquet_table import open_parquet
peak = lambda: int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
table = open_parquet(Path(sys.argv[1]))
before = peak()
rows = sum(len(batch["text"]) for batch in table.batches(64, limit=128))
print(rows, peak() - before, pa.default_memory_pool().max_memory())
"""


def test_many_rows_of_one_long_text_take_the_room_of_a_few(tmp_path: Path) -> None:
    # 20,000 rows of one text of 512 KiB would be 10 GB, and the row group that holds them all is less than 1 MB on disk
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), pa.array(["x" * (1 << 19)]))
    path = written(tmp_path, {"text": text}, store_schema=False)  # as if it had been written as plain text
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    rows, grown_kib, arrow_bytes = map(int, done.stdout.split())
    assert rows == 128
    # a batch of 64 texts, as Python's strings, as numpy's, and as those of the batch before
    assert grown_kib < 3 * 64 * 512 + 20 * 1024
    assert arrow_bytes < 8 << 20


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_damage_leads_to_anything_but_rows_or_a_problem(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = written(tmp_path_factory.getbasetemp(), {"text": ["a", "b"], "ids": [[1, 2], [3, 4]]})
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    assert code_or_rows(path) in {"parquet_invalid", "calibration_empty", "calibration_too_large", "rows"}


def code_or_rows(path: Path) -> str:
    try:
        table = open_parquet(path, max_unpacked_bytes=1 << 20)
        assert len(rows_of(table)) == table.num_samples
    except ProblemFound as found:
        return found.problem.code
    return "rows"
