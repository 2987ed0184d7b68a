import csv
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from app.contracts.preparation import TextPreparation
from app.contracts.problem import ProblemFound
from workers.pipeline.inspection.dataset import inspect_dataset
from workers.protocol.outcome import DatasetInspected
from workers.protocol.reporter import Reporter

LIMIT = 1 << 30


def inspect(path: Path, reporter: Reporter) -> DatasetInspected:
    return inspect_dataset(path, max_unpacked_bytes=LIMIT, reporter=reporter)


def test_columns_are_described_with_their_statistics(npz: Any, reporter: Reporter) -> None:
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    flags = np.zeros(50, bool)
    found = inspect(npz(x=x, flags=flags, labels=np.arange(50)), reporter).inspection
    columns = {c.name: c for c in found.columns}
    assert (found.num_samples, found.has_labels) == (50, True)
    assert columns["x"].shape == (50, 3)
    assert columns["x"].dtype == "float32"
    assert (columns["x"].min, columns["x"].max) == (float(x.min()), float(x.max()))
    assert columns["x"].mean == pytest.approx(float(x.mean(dtype=np.float64)))
    assert columns["flags"].min is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_found_with_its_sample(npz: Any, reporter: Reporter, value: Any) -> None:
    x = np.zeros((60, 1000), np.float32)
    x[41, 7] = value
    with pytest.raises(ProblemFound) as found:
        inspect(npz(x=x), reporter)
    assert found.value.problem.code == "calibration_nonfinite"
    assert "Sample 41 of x" in found.value.problem.detail
    assert found.value.problem.errors[0].entry == "x"


@pytest.mark.parametrize("labels", [np.zeros(40), np.zeros(40, bool), np.full(40, -1)])
def test_labels_are_integers_from_zero(npz: Any, reporter: Reporter, labels: Any) -> None:
    with pytest.raises(ProblemFound) as found:
        inspect(npz(x=np.zeros((40, 2)), labels=labels), reporter)
    assert found.value.problem.code == "labels_invalid"


def test_what_can_be_no_input_is_left_alone_with_the_reason(npz: Any, reporter: Reporter) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    gaps = np.where(np.arange(40) == 7, np.nan, 1.0)
    found = inspect(npz(x=x, labels=np.arange(40), names=np.array(["a", "b"]), gaps=gaps, meta=np.arange(7)), reporter)
    assert found.inspection.num_samples == 40
    assert [c.name for c in found.inspection.columns] == ["x", "labels", "meta"]
    assert {one.name: one.code for one in found.inspection.left_out} == {
        "names": "calibration_dtype_mismatch", "gaps": "calibration_nonfinite"
    }  # fmt: skip
    told = {w.code: w.detail for w in found.warnings}
    assert set(told) == {"ignored_columns", "columns_of_other_lengths"}
    assert "Sample 7 of gaps" in told["ignored_columns"]
    assert told["columns_of_other_lengths"].endswith("meta 7.")
    assert set(found.inspection.preview[0]) == {"x", "labels"}


def test_data_of_nothing_but_what_can_be_no_input_is_refused(npz: Any, reporter: Reporter) -> None:
    with pytest.raises(ProblemFound) as found:
        inspect(npz(x=np.full((9, 2), np.nan), when=np.zeros(9, "datetime64[s]"), labels=np.arange(9)), reporter)
    assert found.value.problem.code == "calibration_nonfinite"


CLASSES = np.arange(40) % 4


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32, np.float64])
def test_rows_that_mark_one_class_each_are_one_hot(npz: Any, reporter: Reporter, dtype: Any) -> None:
    rows = np.eye(4, dtype=dtype)[CLASSES]
    found = inspect(npz(x=np.random.default_rng(0).normal(size=(40, 2)), labels=rows), reporter).inspection
    assert (found.has_labels, found.labels_one_hot) == (True, True)
    assert [w.code for w in reporter.warnings] == ["one_hot_labels"]


def test_rows_that_mark_several_classes_or_none_are_not_one_hot(npz: Any, reporter: Reporter) -> None:
    rows = np.eye(4, dtype=np.int64)[CLASSES]
    rows[3, 0], rows[4, 0] = 1 - rows[3, 0], 1 - rows[4, 0]  # as many ones as before
    found = inspect(npz(x=np.random.default_rng(0).normal(size=(40, 2)), labels=rows), reporter).inspection
    assert not found.labels_one_hot
    assert not inspect(npz(x=np.zeros((40, 2)), labels=CLASSES[:, None] % 2), reporter).inspection.labels_one_hot


@pytest.mark.parametrize(
    ("labels", "told", "remedy"),
    [
        (CLASSES.astype(np.float32), "float32, not integers", "astype('int64')"),
        (CLASSES + 0.5, "fractions: Sample 0 has 0.5", "Scores are no classes"),
        (CLASSES > 1, "bool, not integers", "astype('int64')"),
        (CLASSES - 1, "smallest label is -1", "counted from 0"),
        (np.eye(4)[CLASSES] / 2, "fractions: Sample 0 has 0.5", "Scores are no classes"),
    ],
)
def test_labels_that_are_no_classes_come_with_the_remedy(
    npz: Any, reporter: Reporter, labels: Any, told: str, remedy: str
) -> None:
    with pytest.raises(ProblemFound) as found:
        inspect(npz(x=np.zeros((40, 2)), labels=labels), reporter)
    problem = found.value.problem
    assert problem.code == "labels_invalid"
    assert told in problem.detail
    assert remedy in (problem.hint or "")


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet"])
def test_names_as_labels_of_numbers_are_told_how_to_be_integers(tmp_path: Path, reporter: Reporter, name: str) -> None:
    rows = [{"n": i, "m": i / 2, "input_ids": i, "labels": "cat"} for i in range(5)]
    with pytest.raises(ProblemFound) as found:
        inspect(written(tmp_path, rows, name), reporter)
    assert found.value.problem.code == "labels_invalid"
    assert "classes.index(name)" in (found.value.problem.hint or "")


LARGEST = float(np.finfo(np.float64).max)


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([1.7e308] * 40, 1.7e308),
        ([-LARGEST] * 40, -LARGEST),
        ([LARGEST, -LARGEST] * 20, 0.0),
        ([LARGEST] * 3 + [0.0], LARGEST / 4 * 3),
        ([5e-324] * 40, 5e-324),
    ],
)
def test_values_whose_sum_no_float_holds_have_a_mean(npz: Any, reporter: Reporter, values: Any, mean: float) -> None:
    (column,) = inspect(npz(x=np.array(values)), reporter).inspection.columns
    assert (column.min, column.max) == (min(values), max(values))
    assert column.mean == pytest.approx(mean)


def test_the_mean_does_not_depend_on_where_the_pieces_end(npz: Any, reporter: Reporter) -> None:
    # three pieces of 2**19, 2**19 and 2 elements: of 1, of the largest and of its negative
    x = np.repeat([1.0, LARGEST, -LARGEST], [1 << 19, 1 << 19, 2])
    (column,) = inspect(npz(x=x), reporter).inspection.columns
    share = ((1 << 19) - 2) / x.size
    assert column.mean == pytest.approx(LARGEST * share)


def test_few_samples_pixels_and_constants_are_worth_a_warning(npz: Any, reporter: Reporter) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4)).astype(np.float32) + 1.0
    pixels[0, 0] = 255.0
    warnings = inspect(npz(x=pixels, c=np.ones(5, np.float32)), reporter).warnings
    assert {w.code for w in warnings} == {"few_samples", "unscaled_pixels", "constant_column"}


def test_memory_stays_flat_however_large_the_archive(npz: Any, reporter: Reporter) -> None:
    path = npz(x=np.ones((64, 1 << 18), np.float32))  # 64 MiB
    tracemalloc.start()
    inspect(path, reporter)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20


TEXTS = [{"text": f"text number {i}", "label": i % 2, "score": i / 2} for i in range(40)]


def written(folder: Path, rows: list[dict[str, Any]], name: str) -> Path:
    path = folder / f"data.{name}"
    if name == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif name == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("name", ["jsonl", "parquet", "csv"])
def test_a_table_of_text_is_described_alike_in_every_format(tmp_path: Path, reporter: Reporter, name: str) -> None:
    found = inspect(written(tmp_path, TEXTS, name), reporter).inspection
    columns = {c.name: c for c in found.columns}
    assert (found.format, found.num_samples, found.has_labels) == (name, 40, True)
    assert found.preparation == TextPreparation(text="text", label="label")
    assert (columns["text"].dtype, columns["text"].shape, columns["text"].min) == ("string", (40,), None)
    assert (columns["score"].dtype, columns["score"].max, columns["score"].mean) == ("float64", 19.5, 9.75)
    assert found.preview == tuple(TEXTS[:3])
    assert [w.code for w in reporter.warnings] == ["preparation_inferred"]


def test_the_digest_is_of_the_texts_whatever_holds_them(tmp_path: Path) -> None:
    def digest(rows: list[dict[str, Any]], name: str, **preparation: Any) -> Any:
        path = written(tmp_path, rows, name)
        wanted = TextPreparation(**preparation) if preparation else None
        voice = Reporter(io.StringIO())
        found = inspect_dataset(path, max_unpacked_bytes=LIMIT, reporter=voice, preparation=wanted)
        return found.inspection.sample_digest

    expected = digest(TEXTS, "jsonl")
    assert expected == digest(TEXTS, "csv") == digest(TEXTS, "parquet")
    renamed = [{"body": row["text"]} for row in TEXTS]
    assert expected == digest(renamed, "csv", text="body")
    assert expected != digest(TEXTS[1:], "jsonl")


def test_previews_are_short(tmp_path: Path, npz: Any, reporter: Reporter) -> None:
    (preview, *_) = inspect(written(tmp_path, [{"text": "line\n" * 50}], "jsonl"), reporter).inspection.preview
    assert preview == {"text": ("line\ufffd" * 50)[:80]}
    x = np.arange(400, dtype=np.float32).reshape(4, 10, 10)
    found = inspect(npz(x=x, flag=np.array([True, False] * 2)), reporter).inspection.preview
    assert found == tuple({"x": tuple(range(100 * i, 100 * i + 8)), "flag": i % 2 == 0} for i in range(3))


@pytest.mark.parametrize(
    ("row", "preparation"),
    [
        ({"sentence": "a", "other": "b", "class": "x"}, TextPreparation(text="sentence", label="class")),
        ({"only": "a", "label": "x"}, TextPreparation(text="only", label="label")),
        ({"only": "a", "n": 1}, TextPreparation(text="only")),
        ({"text": "a", "label": 0.5, "class": 1}, TextPreparation(text="text", label="class")),
        ({"one": "a", "two": "b"}, None),
        ({"text": "a", "input_ids": [1, 2]}, None),
        ({"n": 1, "labels": 1}, None),
    ],
)
def test_a_preparation_is_inferred_from_names(tmp_path: Path, reporter: Reporter, row: Any, preparation: Any) -> None:
    assert inspect(written(tmp_path, [row], "jsonl"), reporter).inspection.preparation == preparation


def test_a_declared_preparation_is_held_to_the_columns(tmp_path: Path, npz: Any, reporter: Reporter) -> None:
    for path in (written(tmp_path, TEXTS, "csv"), npz(x=np.zeros((3, 2)))):
        with pytest.raises(ProblemFound) as found:
            inspect_dataset(path, max_unpacked_bytes=LIMIT, reporter=reporter, preparation=TextPreparation(text="body"))
        assert found.value.problem.code == "preparation_invalid"
        assert "there are: " in found.value.problem.detail


def test_labels_of_texts_are_looked_at_to_the_end(tmp_path: Path, reporter: Reporter) -> None:
    rows = [{"text": "a", "label": "pos"}, {"text": "b", "label": "neg"}, {"text": "c", "label": "nge"}]
    wanted = TextPreparation(label="label", classes=("neg", "pos"))
    with pytest.raises(ProblemFound) as found:
        inspect_dataset(written(tmp_path, rows, "csv"), max_unpacked_bytes=LIMIT, reporter=reporter, preparation=wanted)
    assert found.value.problem.code == "labels_invalid"
    assert found.value.problem.detail.startswith("Line 4: ")


def test_repeated_and_endless_texts_are_worth_a_warning(tmp_path: Path, reporter: Reporter) -> None:
    rows = [{"text": f"text {i}"} for i in range(38)] + [{"text": "text 1"}, {"text": "a " * 2000}]
    warnings = {w.code: w.detail for w in inspect(written(tmp_path, rows, "jsonl"), reporter).warnings}
    assert set(warnings) == {"preparation_inferred", "duplicated_samples", "long_texts"}
    assert warnings["duplicated_samples"] == "1 of the first 40 samples repeat an earlier one."
    # 512 tokens of 6 characters are 3,072
    assert warnings["long_texts"].startswith("1 texts of text have 3072 characters or more")


def test_safetensors_are_inspected_like_npz(tmp_path: Path, npz: Any, reporter: Reporter) -> None:
    arrays = {"x": np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32), "labels": np.arange(50)}
    save_file(arrays, tmp_path / "d.safetensors")
    one = inspect(tmp_path / "d.safetensors", reporter).inspection
    other = inspect(npz(**arrays), reporter).inspection
    assert one.format == "safetensors"
    assert {c.name: c for c in one.columns} == {c.name: c for c in other.columns}
    assert (one.sample_digest, one.has_labels) == (other.sample_digest, True)
    arrays["x"][41, 2] = np.nan
    save_file(arrays, tmp_path / "d.safetensors")
    with pytest.raises(ProblemFound, match="Sample 41 of x"):
        inspect(tmp_path / "d.safetensors", reporter)


def test_samples_too_large_to_hold_are_described_without_being_held(npz: Any, reporter: Reporter) -> None:
    path = npz(x=np.zeros((1, (65 << 20) // 4), np.float32))
    tracemalloc.start()
    found = inspect(path, reporter).inspection
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.preview, found.sample_digest) == ((), None)
    assert peak < 40 << 20
