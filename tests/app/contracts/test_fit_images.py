from typing import Any

import pytest

from app.contracts.fit import check_fit, effective_preparation
from app.contracts.inspection import ModelInspection
from app.contracts.preparation import ImagePreparation
from app.contracts.problem import Problem
from tests.app.contracts.inspections import data, model

RGB = ("x", "float32", ("n", 3, 224, 320))


def prepared(**changes: Any) -> ImagePreparation:
    return ImagePreparation(**({"height": 224, "width": 320} | changes))


def images(preparation: ImagePreparation | None) -> Any:
    return data(("image", "image", (7,)), format="images", preparation=preparation)


def fit(of: ModelInspection, **changes: Any) -> Problem | None:
    return check_fit(of, images(prepared(**changes)))


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        (RGB, {}),
        (("x", "float16", ("n", "c", "h", "w")), {}),
        (("x", "uint8", (1, 224, 320, 3)), {"layout": "NHWC", "channels": "BGR"}),
        (("x", "float32", ("n", 1, 224, 320)), {"channels": "L", "input": "x"}),
    ],
)
def test_prepared_images_of_the_models_shape_fit(spec: Any, changes: dict[str, Any]) -> None:
    assert fit(model(spec), **changes) is None


@pytest.mark.parametrize(
    ("inputs", "changes", "code", "told"),
    [
        ((RGB,), {"height": 225}, "calibration_shape_mismatch", "Set height to 224"),
        ((RGB,), {"channels": "L"}, "calibration_shape_mismatch", "channels to RGB or BGR"),
        ((RGB,), {"layout": "NHWC"}, "calibration_shape_mismatch", "Set layout to NCHW."),
        ((("x", "float32", ("n", 224, 320, 3)),), {}, "calibration_shape_mismatch", "Set layout to NHWC."),
        ((("x", "float32", ("n", 9, 9, 3)),), {}, "calibration_shape_mismatch", "Set layout to NHWC"),
        ((("x", "float32", ("n", 4, 224, 320)),), {}, "calibration_shape_mismatch", "4 channels"),
        ((("x", "float32", ("n", 12)),), {}, "calibration_shape_mismatch", "'x'"),
        ((("x", "int64", ("n", 3, 224, 320)),), {"input": "x"}, "calibration_dtype_mismatch", None),
        ((("x", "float32", ("n", 12)),), {"input": "x"}, "calibration_shape_mismatch", None),
        ((RGB,), {"input": "y"}, "preparation_invalid", "x [n, 3, 224, 320]"),
        ((RGB, ("y", "float32", ("n", 3, 9, 9))), {}, "preparation_invalid", "Name one as `input`"),
        ((RGB, ("size", "int64", ("n", 2))), {}, "calibration_input_missing", "numpy.savez"),
    ],
)
def test_a_misfit_comes_with_what_to_declare(inputs: Any, changes: dict[str, Any], code: str, told: str | None) -> None:
    found = fit(model(*inputs), **changes)
    assert found.code == code
    if told is not None:
        assert told.replace("'", "") in found.hint


def test_images_are_prepared_as_the_model_asks_unless_they_say_so_themselves() -> None:
    asking = model(RGB, image_preparation=prepared())
    assert check_fit(asking, images(None)) is None
    assert effective_preparation(asking, images(None)) == prepared()
    assert effective_preparation(asking, images(prepared(height=7))) == prepared(height=7)
    assert check_fit(asking, images(prepared(height=7))).code == "calibration_shape_mismatch"
    assert effective_preparation(asking, data(("x", "float32", (7, 3, 224, 320)))) is None


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (RGB, '"height": 224, "width": 320'),
        (("x", "float32", ("n", 96, 64, 3)), '"height": 96, "width": 64'),
        (("x", "float32", ("n", 3, "h", "w")), '"height": 224, "width": 224'),
        (("x", "float32", ("n", 5)), '"height": 224, "width": 224'),
    ],
)
def test_images_without_any_preparation_come_with_a_proposal(spec: Any, size: str) -> None:
    found = check_fit(model(spec), images(None))
    assert found.code == "preparation_missing"
    assert size in found.hint
