import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from app.contracts.inspection import ModelInspection
from app.contracts.preparation import ImagePreparation, TextPreparation
from app.contracts.problem import Problem, ProblemFound
from tests.workers.ingestion.data.minilm import model, model_folder
from workers.ingestion.data.opening import open_samples
from workers.ingestion.data.samples import Samples

TEXT = TextPreparation(label="label")


def opened(path: Path, wanted: ModelInspection, preparation: Any = None, **options: Any) -> Samples:
    return open_samples(path, preparation=preparation, model=wanted, model_folder=path.parent, **options)


def refused(path: Path, wanted: ModelInspection, preparation: Any = None) -> Problem:
    with pytest.raises(ProblemFound) as found:
        for _ in opened(path, wanted, preparation).batches(2):
            pass
    return found.value.problem


def jsonl(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def everything(samples: Samples, rows: int = 2) -> dict[str, Any]:
    batches = list(samples.batches(rows))
    return {name: np.concatenate([b[name] for b in batches]).tolist() for name in batches[0]}


def test_the_same_arrays_come_out_of_every_format(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    labels = np.arange(5)
    np.savez(tmp_path / "d.npz", x=x, labels=labels)
    save_file({"x": x, "labels": labels}, tmp_path / "d.safetensors")
    nested = pa.array(x.tolist(), pa.list_(pa.list_(pa.float32())))
    pq.write_table(pa.table({"x": nested, "labels": labels}), tmp_path / "d.parquet")
    jsonl(tmp_path, *({"x": row.tolist(), "labels": i} for i, row in enumerate(x)))
    for name in ("d.npz", "d.safetensors", "d.parquet", "data.jsonl"):
        samples = opened(tmp_path / name, model("x", dtype="float32"))
        assert {c.name: (c.dtype, c.shape) for c in samples.columns} == {
            "x": ("float32", (5, 2, 3)), "labels": ("int64", (5,)),
        }  # fmt: skip
        assert everything(samples) == {"x": x.tolist(), "labels": labels.tolist()}


def test_a_file_of_no_known_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("x")
    assert refused(tmp_path / "d.txt", model()).code == "dataset_format_not_supported"


def test_numbers_written_as_digits_take_the_models_element_types(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("a,b,c,other\n1,2,3.5,0.1\n4,5,6,0.2\n")
    wanted = model("a", dtype="float32")
    wanted = wanted.model_copy(
        update={"inputs": (*wanted.inputs, *model("b", dtype="int32").inputs, *model("c", dtype="float16").inputs)}
    )
    samples = opened(path, wanted)
    assert {c.name: c.dtype for c in samples.columns} == {
        "a": "float32", "b": "int32", "c": "float16", "other": "float64",
    }  # fmt: skip
    (batch,) = samples.batches(8)
    assert {name: array.dtype.name for name, array in batch.items()} == {c.name: c.dtype for c in samples.columns}
    assert everything(samples)["c"] == [3.5, 6.0]


@pytest.mark.parametrize(("value", "dtype"), [(300, "int8"), (-1, "uint32"), (70000.0, "float16"), (1e39, "float32")])
def test_a_number_that_the_element_type_does_not_hold_is_refused(tmp_path: Path, value: float, dtype: str) -> None:
    problem = refused(jsonl(tmp_path, {"x": 1}, {"x": value}), model("x", dtype=dtype))
    assert problem.code == "calibration_dtype_mismatch"


def test_a_fraction_becomes_no_whole_number(tmp_path: Path) -> None:
    (column,) = opened(jsonl(tmp_path, {"x": 1.5}), model("x")).columns
    assert column.dtype == "float64"


def test_texts_become_tokens_and_labels_integers(tmp_path: Path) -> None:
    model_folder(tmp_path)
    path = jsonl(tmp_path, {"text": "a b", "label": 1}, {"text": "a", "label": 0}, {"text": "c", "label": 1})
    samples = opened(path, model(), TEXT)
    assert {c.name: (c.dtype, c.shape) for c in samples.columns} == {
        "input_ids": ("int64", (3, "tokens")), "attention_mask": ("int64", (3, "tokens")),
        "token_type_ids": ("int64", (3, "tokens")), "labels": ("int64", (3,)),
    }  # fmt: skip
    first, second = samples.batches(2)
    assert first["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert second["attention_mask"].tolist() == [[1, 1, 1]]
    assert [first["labels"].tolist(), second["labels"].tolist()] == [[1, 0], [1]]
    assert [list(b) for b in samples.batches(3, names=("labels",), limit=2)] == [["labels"]]


def test_the_same_tokens_come_out_of_every_format_of_text(tmp_path: Path) -> None:
    model_folder(tmp_path)
    rows = [{"text": 'say "hi", you', "label": 1}, {"text": "two\nlines \U0001f600", "label": 0}]
    jsonl(tmp_path, *rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    (tmp_path / "d.csv").write_bytes('text,label\n"say ""hi"", you",1\n"two\nlines \U0001f600",0\n'.encode())
    found = [everything(opened(tmp_path / n, model(), TEXT)) for n in ("data.jsonl", "d.parquet", "d.csv")]
    assert found[0] == found[1] == found[2]


NAMED = ({"text": "a", "label": "pos"}, {"text": "b", "label": "neg"}, {"text": "c", "label": "pos"})


@pytest.mark.parametrize(
    ("declared", "of_model", "labels", "warned"),
    [
        (("neg", "pos"), ("pos", "neg"), [1, 0, 1], False),
        (None, ("pos", "neg"), [0, 1, 0], False),
        (None, ("LABEL_0", "LABEL_1"), [1, 0, 1], True),
        (None, None, [1, 0, 1], True),
    ],
)
def test_names_of_classes_are_put_in_order_by_whoever_knows_best(
    tmp_path: Path, declared: Any, of_model: Any, labels: list[int], warned: bool
) -> None:
    model_folder(tmp_path)
    told: list[str] = []
    preparation = TextPreparation(label="label", classes=declared)
    samples = opened(
        jsonl(tmp_path, *NAMED), model(classes=of_model), preparation, warn=lambda code, _: told.append(code)
    )
    assert everything(samples)["labels"] == labels
    assert told == (["classes_in_alphabetical_order"] if warned else [])


@pytest.mark.parametrize(
    ("wrong", "classes", "says"),
    [
        ("so-so", ("neg", "pos"), "so-so"),
        (2, ("neg", "pos"), "2"),
        (-1, None, "-1"),
    ],
)
def test_a_label_that_is_no_class_is_told_with_its_line(tmp_path: Path, wrong: Any, classes: Any, says: str) -> None:
    model_folder(tmp_path)
    right: Any = "pos" if isinstance(wrong, str) else 1
    rows = [{"text": "a", "label": right}] * 3 + [{"text": "b", "label": wrong}]
    problem = refused(jsonl(tmp_path, *rows), model(), TextPreparation(label="label", classes=classes))
    assert problem.code == "labels_invalid"
    assert problem.detail.startswith("Line 4: The label")
    assert says in problem.detail


@pytest.mark.parametrize(
    ("names", "of_model", "labels"),
    [
        (["10", "9", "007"], None, [10, 9, 7]),
        (["LABEL_10", "LABEL_2", "LABEL_0"], tuple(f"LABEL_{i}" for i in range(11)), [10, 2, 0]),
    ],
)
def test_names_that_are_numbers_are_those_numbers(tmp_path: Path, names: Any, of_model: Any, labels: Any) -> None:
    model_folder(tmp_path)
    path = jsonl(tmp_path, *({"text": "a", "label": name} for name in names))
    assert everything(opened(path, model(classes=of_model), TEXT))["labels"] == labels


def test_fractions_are_no_labels(tmp_path: Path) -> None:
    model_folder(tmp_path)
    assert refused(jsonl(tmp_path, {"text": "a", "label": 0.5}), model(), TEXT).code == "labels_invalid"


def test_a_column_of_the_usual_name_holds_labels_undeclared(tmp_path: Path) -> None:
    model_folder(tmp_path)
    samples = opened(jsonl(tmp_path, {"text": "a", "labels": 3}), model(), TextPreparation())
    assert everything(samples)["labels"] == [3]


@pytest.mark.parametrize(
    ("preparation", "pointer"),
    [
        (TextPreparation(text="body"), "/preparation/text"),
        (TextPreparation(text="n"), "/preparation/text"),
        (TextPreparation(text_pair="other"), "/preparation/text_pair"),
        (TextPreparation(label="class"), "/preparation/label"),
        (TextPreparation(label="text"), "/preparation/label"),
        (ImagePreparation(height=8, width=8), "/preparation/kind"),
    ],
)
def test_a_preparation_that_names_other_columns_is_refused(tmp_path: Path, preparation: Any, pointer: str) -> None:
    problem = refused(jsonl(tmp_path, {"text": "a", "n": 1}), model(), preparation)
    assert (problem.code, problem.errors[0].pointer) == ("preparation_invalid", pointer)


def test_a_missing_column_is_told_with_those_there_are(tmp_path: Path) -> None:
    problem = refused(jsonl(tmp_path, {"text": "a", "n": 1}), model(), TextPreparation(text="body"))
    assert problem.detail == "There is no column body; there are: text, n."


def test_texts_are_tokenized_undeclared_where_the_columns_are_no_inputs(tmp_path: Path) -> None:
    model_folder(tmp_path)
    assert set(everything(opened(jsonl(tmp_path, {"review": "a", "n": 1}), model()))) == {
        "input_ids", "attention_mask", "token_type_ids",
    }  # fmt: skip
    tokens = {"input_ids": [1], "attention_mask": [1], "token_type_ids": [0]}
    assert set(everything(opened(jsonl(tmp_path, {**tokens, "text": "a"}), model("input_ids")))) == {*tokens, "text"}
