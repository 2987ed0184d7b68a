"""What a user should know of a job before it runs and that stops nothing. Answered from rows alone, in no time."""

import math
from collections.abc import Iterator

from app.contracts.fit import effective_preparation
from app.contracts.inspection import ColumnInspection, DatasetInspection, ModelInspection, Notice
from app.contracts.notice_thresholds import FEW_SAMPLES, PIXEL_LIKE
from app.contracts.preparation import ImagePreparation
from app.contracts.problem import quoted
from app.jobs.exclusions import unused_exclusions
from app.jobs.named import Named, NamedDataset
from app.jobs.schemas import JobValidate

_MEBIBYTE = 1024**2
_NORMALISING = ("channels", "scale", "mean", "std")
"""The fields of a preparation that the model's weights are used to."""


def find_advice(wanted: JobValidate, named: Named, *, memory_limit_bytes: int | None) -> list[Notice]:
    """About what is ready; what is not will be judged when it is."""
    model = named.model_inspection
    found = [*_about_evaluation(named)]
    if model is not None:
        found += _about_model(wanted, model, memory_limit_bytes)
        for data in (named.calibration, named.evaluation):
            inspection = data and data.inspection
            if inspection is not None:
                found += _about_values(model, inspection)
    found += _about_resolution(wanted, named)
    calibration = named.calibration and named.calibration.inspection
    if calibration is not None and wanted.recipe.resolve().method == "static":
        found += _about_amount(calibration)
    return list(dict.fromkeys(found))


def _about_model(wanted: JobValidate, model: ModelInspection, memory_limit_bytes: int | None) -> Iterator[Notice]:
    coverage = model.coverage.get(wanted.target)
    if coverage is not None and not coverage.operators_quantized and wanted.recipe.resolve().method != "float16":
        why = " ".join(f"{quoted(reason)} ({n} operators)" for reason, n in list(coverage.reasons.items())[:5])
        yield Notice(
            code="nothing_to_quantize", detail=f"The target would quantize nothing of this model. {why}".strip()
        )
    unused = unused_exclusions(wanted.recipe.resolve().op_types_to_exclude, model)
    if unused is not None:
        yield unused
    needed = model.estimate.peak_memory_bytes if model.estimate else None
    if needed is not None and memory_limit_bytes is not None and needed > memory_limit_bytes:
        yield Notice(
            code="memory_limit",
            detail=f"The job may need about {needed // _MEBIBYTE} MiB of memory; a job here may use "
            f"{memory_limit_bytes // _MEBIBYTE} MiB.",
        )


def _about_evaluation(named: Named) -> Iterator[Notice]:
    if named.calibration is None:
        return
    if named.evaluation is None:
        yield Notice(
            code="evaluated_on_calibration_data",
            detail="There is no evaluation data: quality will be measured on the data that sets the ranges, which "
            "flatters it.",
        )
    elif (how := _sameness(named.calibration, named.evaluation)) is not None:
        yield Notice(
            code="evaluation_is_calibration",
            detail=f"The evaluation data {how}: quality will be measured on the data that sets the ranges, which "
            "flatters it.",
        )


def _about_resolution(wanted: JobValidate, named: Named) -> Iterator[Notice]:
    """Accuracy changes in steps of one sample."""
    limit = wanted.objective.max_accuracy_drop
    evaluation = named.evaluation and named.evaluation.inspection
    if limit is None or evaluation is None or not 0 < limit * evaluation.num_samples < 1:
        return
    yield Notice(
        code="few_evaluation_samples",
        detail=f"One of the {evaluation.num_samples} evaluation samples is {1 / evaluation.num_samples:.2%} of the "
        f"accuracy, more than the loss of {limit:.2%} that is allowed: no answer may change. With "
        f"{math.ceil(1 / limit)} samples one may.",
    )


def _sameness(calibration: NamedDataset, evaluation: NamedDataset) -> str | None:
    if calibration.row.id == evaluation.row.id:
        return "is the calibration data"
    if calibration.file_sha256 == evaluation.file_sha256:
        return "is the same file as the calibration data"
    digests = [i and i.sample_digest for i in (calibration.inspection, evaluation.inspection)]
    return "begins with the samples of the calibration data" if digests[0] and digests[0] == digests[1] else None


def _about_amount(calibration: DatasetInspection) -> Iterator[Notice]:
    if calibration.num_samples < FEW_SAMPLES:
        yield Notice(
            code="few_samples",
            detail=f"There are only {calibration.num_samples} samples to calibrate with; ranges are steadier with "
            f"{FEW_SAMPLES} or more.",
        )


def _about_values(model: ModelInspection, dataset: DatasetInspection) -> Iterator[Notice]:
    preparation = effective_preparation(model, dataset)
    if preparation is None:
        yield from _about_columns(model, dataset)
    elif preparation.kind == "image":
        yield from _about_images(model, preparation)
    elif preparation.classes is not None and model.classes is not None:
        yield from _about_classes(preparation.classes, model.classes)


def _about_columns(model: ModelInspection, dataset: DatasetInspection) -> Iterator[Notice]:
    """Raw pixels for a model that wants them normalised, as nearly all do."""
    floats = {spec.name for spec in model.inputs if len(spec.shape) == 4 and spec.dtype.startswith("float")}
    if model.image_preparation is not None and _highest(model.image_preparation) > PIXEL_LIKE:
        return
    for column in dataset.columns:
        if column.name in floats and _looks_raw(column):
            yield _unscaled(f"{quoted(column.name)} looks like pixel values of 0 to 255", model.image_preparation)


def _about_images(model: ModelInspection, preparation: ImagePreparation) -> Iterator[Notice]:
    own = model.image_preparation
    wants_raw = own is not None and _highest(own) > PIXEL_LIKE
    takes_floats = any(len(spec.shape) == 4 and spec.dtype.startswith("float") for spec in model.inputs)
    if takes_floats and not wants_raw and _lowest(preparation) >= 0 and _highest(preparation) > PIXEL_LIKE:
        yield _unscaled("The preparation leaves pixel values of 0 to 255 as they are", own)
    elif own is not None:
        differing = [name for name in _NORMALISING if getattr(own, name) != getattr(preparation, name)]
        if differing:
            listed = ", ".join(f"{name} {_spelled(getattr(own, name))}" for name in differing)
            yield Notice(code="preparation_differs", detail=f"The model's own configuration asks for {listed}.")


def _about_classes(declared: tuple[str, ...], own: tuple[str, ...]) -> Iterator[Notice]:
    if declared != own and sorted(declared) == sorted(own):
        order = ", ".join(quoted(name[:40]) for name in own[:8])
        yield Notice(
            code="classes_in_another_order", detail=f"The model itself has these classes in another order: {order}."
        )


def _unscaled(what: str, own: ImagePreparation | None) -> Notice:
    wanted = "most models want them normalised"
    if own is not None:
        wanted = f"the model's own configuration asks for {_lowest(own):.2f} to {_highest(own):.2f}"
    return Notice(code="unscaled_pixels", detail=f"{what}; {wanted}.")


def _looks_raw(column: ColumnInspection) -> bool:
    return column.min is not None and column.max is not None and column.min >= 0.0 and column.max > PIXEL_LIKE


def _lowest(preparation: ImagePreparation) -> float:
    """Of the values that black becomes, over the channels."""
    return min(-mean / std for mean, std in _channels(preparation))


def _highest(preparation: ImagePreparation) -> float:
    """Of the values that white becomes, over the channels."""
    white = 255.0 * preparation.scale
    return max((white - mean) / std for mean, std in _channels(preparation))


def _channels(preparation: ImagePreparation) -> list[tuple[float, float]]:
    count = max(len(preparation.mean), len(preparation.std))
    means, stds = (figures * count if len(figures) == 1 else figures for figures in (preparation.mean, preparation.std))
    return list(zip(means, stds, strict=True))


def _spelled(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(f"{figure:g}" for figure in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
