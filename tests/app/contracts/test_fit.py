from typing import Any

import pytest

from app.contracts.fit import check_fit
from app.contracts.inspection import ColumnInspection, DatasetInspection, ModelInspection, TensorSpec


def model(*inputs: Any) -> ModelInspection:
    specs = tuple(TensorSpec(name=n, dtype=d, shape=s) for n, d, s in inputs)
    return ModelInspection(
        inputs=specs, outputs=(), opset=17, ir_version=8, producer="", op_counts={}, parameters=0,
        already_quantized=False,
    )  # fmt: skip


def data(*columns: Any) -> DatasetInspection:
    found = tuple(ColumnInspection(name=n, dtype=d, shape=s, min=None, max=None, mean=None) for n, d, s in columns)
    return DatasetInspection(format="npz", num_samples=found[0].shape[0], columns=found, has_labels=False)


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
        (("n", 10), (7, 11), None),
        (("n", 10), (7, 10, 1), None),
        ((), (7,), None),
    ],
)
def test_a_wrong_shape_comes_with_its_usual_reason(wanted: Any, given: Any, hint: Any) -> None:
    found = check_fit(model(("x", "float32", wanted)), data(("x", "float32", given)))
    assert found.code == "calibration_shape_mismatch"
    assert (found.hint is None) if hint is None else (hint in found.hint)
