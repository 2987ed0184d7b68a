from typing import Any

import pytest

from app.contracts.inspection import DatasetInspection, Estimate, ModelInspection, TargetCoverage
from app.contracts.preparation import ImagePreparation, TextPreparation
from app.jobs.advice import find_advice
from app.jobs.named import Named, NamedDataset
from app.jobs.schemas import JobValidate
from app.tables import Dataset, Model
from tests.app.contracts.inspections import data, model

MIB = 1024**2
PICTURE = ("x", "float32", ("n", 3, 8, 8))
IMAGENET = ImagePreparation(height=8, width=8, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
RAW = ImagePreparation(height=8, width=8, scale=1.0)


def dataset(inspection: DatasetInspection | None, *, name: str = "ds_1", sha256: str = "a") -> NamedDataset:
    """Ready, or rejected."""
    found = None if inspection is None else inspection.model_dump(mode="json")
    status = "rejected" if inspection is None else "ready"
    return NamedDataset(Dataset(id=name, status=status, inspection=found), sha256)


def advice(
    of: ModelInspection | None,
    calibration: NamedDataset | None = None,
    evaluation: NamedDataset | None = None,
    *,
    memory: int | None = None,
    **changes: Any,
) -> dict[str, str]:
    """Codes and details."""
    found = None if of is None else Model(status="ready", inspection=of.model_dump(mode="json"))
    wanted = JobValidate.model_validate({"model_id": "mdl_1", **changes})
    notices = find_advice(wanted, Named(found, calibration, evaluation), memory_limit_bytes=memory)
    assert len({notice.code for notice in notices}) == len(notices)
    return {notice.code: notice.detail for notice in notices}


def plenty(**fields: Any) -> DatasetInspection:
    return data(("x", "float32", (500, 3, 8, 8), (-2.0, 2.0)), **fields)


def test_a_sound_job_gets_no_advice() -> None:
    assert advice(model(PICTURE), dataset(plenty()), dataset(plenty(), name="ds_2", sha256="b")) == {}
    assert advice(model(PICTURE)) == {}


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [
        ({"name": "ds_1"}, "evaluation_is_calibration", "is the calibration data"),
        ({"name": "ds_2"}, "evaluation_is_calibration", "same file"),
        ({"name": "ds_2", "sha256": "b"}, "evaluation_is_calibration", "begins with the samples"),
    ],
)
def test_data_that_calibrates_and_evaluates_at_once_is_named(changes: dict[str, str], code: str, told: str) -> None:
    """Told by its id, by its bytes, or by its first samples, as for one table in two formats."""
    once = plenty(sample_digest="d" * 64)
    found = advice(model(PICTURE), dataset(once), dataset(once, **changes))
    assert list(found) == [code]
    assert told in found[code]


def test_an_accuracy_limit_finer_than_one_sample_is_named() -> None:
    """0.5 points are half of one of 100 samples; with 200 they are one."""
    objective = {"max_accuracy_drop": 0.005}
    few, enough = (dataset(plenty(num_samples=n), name="ds_2", sha256="b") for n in (100, 200))
    found = advice(model(PICTURE), dataset(plenty()), few, objective=objective)
    assert list(found) == ["few_evaluation_samples"]
    assert "1.00% of the accuracy" in found["few_evaluation_samples"]
    assert "0.50%" in found["few_evaluation_samples"]
    assert "200 samples" in found["few_evaluation_samples"]
    assert advice(model(PICTURE), dataset(plenty()), enough, objective=objective) == {}
    # no loss at all can be kept whatever the number
    assert advice(model(PICTURE), dataset(plenty()), few, objective={"max_accuracy_drop": 0.0}) == {}


def test_samples_that_differ_are_no_calibration_data() -> None:
    one, other = (plenty(sample_digest=digest * 64) for digest in "de")
    assert advice(model(PICTURE), dataset(one), dataset(other, name="ds_2", sha256="b")) == {}


def test_a_job_without_evaluation_data_is_told_what_that_means() -> None:
    assert list(advice(model(PICTURE), dataset(plenty()))) == ["evaluated_on_calibration_data"]


def test_few_samples_matter_where_they_set_ranges() -> None:
    few, much = dataset(plenty(num_samples=31)), dataset(plenty(), name="ds_2", sha256="b")
    assert "31 samples" in advice(model(PICTURE), few, much)["few_samples"]
    assert "few_samples" not in advice(model(PICTURE), few, much, recipe={"preset": "int8-dynamic"})
    assert "few_samples" not in advice(model(PICTURE), dataset(plenty(num_samples=32)), much)


@pytest.mark.parametrize(
    ("own", "values", "told"),
    [
        (None, (0.0, 255.0), "most models"),
        (IMAGENET, (0.0, 255.0), "-2.12 to 2.64"),  # (0 - 0.485) / 0.229 and (1 - 0.406) / 0.225
        (RAW, (0.0, 255.0), None),
        (None, (0.0, 1.0), None),
        (None, (-128.0, 255.0), None),
        (None, None, None),
    ],
)
def test_raw_pixels_are_noticed_where_the_model_wants_others(own: Any, values: Any, told: str | None) -> None:
    columns = data(("x", "float32", (500, 3, 8, 8), values), ("y", "float32", (500, 3, 8, 8), (0, 255)))
    found = advice(model(PICTURE, image_preparation=own), dataset(columns)).get("unscaled_pixels")
    assert (found is None) if told is None else (told in found and "x looks like" in found)


@pytest.mark.parametrize(
    ("own", "declared", "code", "told"),
    [
        (None, RAW, "unscaled_pixels", "most models"),
        (IMAGENET, RAW, "unscaled_pixels", "-2.12 to 2.64"),
        (RAW, RAW, None, ""),
        (IMAGENET, IMAGENET, None, ""),
        (IMAGENET, None, None, ""),
        (None, IMAGENET, None, ""),
        (IMAGENET, ImagePreparation(height=8, width=8), "preparation_differs", "std [0.229, 0.224, 0.225]"),
        (IMAGENET, IMAGENET.model_copy(update={"channels": "BGR"}), "preparation_differs", "channels RGB."),
    ],
)
def test_a_preparation_is_compared_with_the_models_own(own: Any, declared: Any, code: str | None, told: str) -> None:
    images = data(("image", "image", (500,)), format="images", preparation=declared)
    found = advice(model(PICTURE, image_preparation=own), dataset(images))
    del found["evaluated_on_calibration_data"]
    assert list(found) == ([code] if code else [])
    assert all(told in detail for detail in found.values())


def test_models_of_integer_images_take_raw_pixels() -> None:
    images = data(("image", "image", (500,)), format="images", preparation=RAW)
    assert "unscaled_pixels" not in advice(model(("x", "uint8", ("n", 3, 8, 8))), dataset(images))


def test_classes_in_another_order_than_the_models_are_noticed() -> None:
    of = model(("input_ids", "int64", ("n", "t")), classes=("bad", "good"))
    for classes, noticed in ((("good", "bad"), True), (("bad", "good"), False), (("no", "yes"), False)):
        texts = data(("text", "string", (500,)), format="csv", preparation=TextPreparation(classes=classes))
        assert ("classes_in_another_order" in advice(of, dataset(texts))) == noticed


def covered(quantized: int) -> dict[str, TargetCoverage]:
    return {
        "onnxruntime-cpu": TargetCoverage(
            operators_quantized=quantized, operators_float=3, parameters_quantized=0, reasons={"too small": 3}
        )
    }


def test_a_model_that_has_nothing_to_quantize_is_told_so_before_there_is_data() -> None:
    found = advice(model(PICTURE, coverage=covered(0)))
    assert "too small (3 operators)" in found["nothing_to_quantize"]
    assert advice(model(PICTURE, coverage=covered(1))) == {}
    assert advice(model(PICTURE, coverage=covered(0)), recipe={"preset": "float16"}) == {}


@pytest.mark.parametrize(("limit", "noticed"), [(None, False), (600 * MIB, False), (599 * MIB, True)])
def test_a_job_that_may_need_more_memory_than_it_gets_is_told_so(limit: int | None, noticed: bool) -> None:
    of = model(PICTURE, estimate=Estimate(peak_memory_bytes=600 * MIB, quantized_bytes=1))
    found = advice(of, memory=limit)
    assert ("memory_limit" in found) == noticed
    assert all("600 MiB" in detail and "599 MiB" in detail for detail in found.values())


def test_what_is_not_ready_gets_no_advice() -> None:
    assert list(advice(None, dataset(None))) == ["evaluated_on_calibration_data"]
