from typing import Any

import pytest

from app.contracts.fit import check_fit
from tests.app.contracts.inspections import data, model

IMAGE = ("x", "float32", ("n", 3, 32, 48))


def test_data_of_the_right_names_types_and_extents_fits() -> None:
    assert check_fit(model(IMAGE), data(("x", "float32", (7, 3, 32, 48)), ("labels", "int64", (7,)))) is None


def test_free_extents_and_the_batch_axis_fit_anything() -> None:
    found = check_fit(model(("x", "float32", (1, 3, "h", "w"))), data(("x", "float32", (50, 3, 9, 11))))
    assert found is None


def test_a_column_for_another_model_does_no_harm() -> None:
    assert check_fit(model(IMAGE), data(("x", "float32", (7, 3, 32, 48)), ("y", "float64", (7, 2)))) is None


def test_a_missing_input_is_named_with_what_is_there() -> None:
    found = check_fit(model(IMAGE, ("mask", "int64", ("n", 5))), data(("x", "float32", (7, 3, 32, 48))))
    assert found.code == "calibration_input_missing"
    assert found.errors[0].entry == "mask"
    assert found.detail.endswith("holds: x.")


def test_doubles_for_floats_come_with_the_conversion() -> None:
    found = check_fit(model(IMAGE), data(("x", "float64", (7, 3, 32, 48))))
    assert found.code == "calibration_dtype_mismatch"
    assert "astype('float32')" in found.hint


@pytest.mark.parametrize(
    ("wanted", "given", "hint"),
    [
        (("n", 3, 32, 48), (7, 32, 48, 3), "transpose(0, 3, 1, 2)"),
        (("n", 32, 48, 3), (7, 3, 32, 48), "transpose(0, 2, 3, 1)"),
        (("n", 1, 28, 28), (7, 28, 28), "array[:, numpy.newaxis]"),
        (("n", 3, 32, 48), (3, 32, 48), "array[numpy.newaxis]"),
        (("n", 10), (7, 11), "first axis counts samples"),
        (("n", 10), (7, 10, 1), "first axis counts samples"),
        ((), (7,), "an axis for samples"),
    ],
)
def test_a_wrong_shape_comes_with_its_usual_reason(wanted: Any, given: Any, hint: Any) -> None:
    found = check_fit(model(("x", "float32", wanted)), data(("x", "float32", given)))
    assert found.code == "calibration_shape_mismatch"
    assert hint in found.hint


@pytest.mark.parametrize(
    ("file_format", "written", "wanted", "fits"),
    [
        ("jsonl", "int64", "float32", True),
        ("jsonl", "int64", "int32", True),
        ("csv", "int64", "uint8", True),
        ("csv", "float64", "float32", True),
        ("csv", "float64", "int64", False),  # nothing is rounded
        ("jsonl", "bool", "float32", False),
        ("parquet", "float64", "float32", False),  # its columns have types of their own
    ],
)
def test_digits_take_the_models_type(file_format: str, written: str, wanted: str, fits: bool) -> None:
    found = check_fit(model(("x", wanted, ("n", 2))), data(("x", written, (7, 2)), format=file_format))
    assert (found is None) == fits
    if found is not None:
        assert found.code == "calibration_dtype_mismatch"
        assert ("nothing is rounded" in found.hint) == (file_format != "parquet")


def test_text_without_a_preparation_comes_with_what_to_declare() -> None:
    found = check_fit(model(("input_ids", "int64", ("n", "t"))), data(("review", "string", (7,)), format="csv"))
    assert found.code == "preparation_missing"
    assert '{"kind": "text", "text": "review"}' in found.hint
