"""The client's types say what the service's contracts say. The client cannot import those; a test can."""

from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from lowbit import resources

from app.artifacts.schemas import ArtifactRead
from app.contracts import formats, inspection, objective, preparation, result
from app.files.schemas import FileRead
from app.jobs.schemas import JobCreate, JobEstimate, JobRead, StageRead, ValidationRead
from app.variants.schemas import VariantRead

RESULTS = [
    (resources.Latency, result.Latency),
    (resources.OutputMetrics, result.OutputMetrics),
    (resources.Metrics, result.Metrics),
    (resources.VariantMetrics, result.VariantMetrics),
    (resources.JobResult, result.JobResult),
    (resources.Variant, VariantRead),
    (resources.Artifact, ArtifactRead),
    (resources.LayerFigures, result.LayerFigures),
    (resources.Layer, result.LayerReport),
]


@pytest.mark.parametrize(
    ("typed", "contract"),
    [
        (resources.TextPreparation, preparation.TextPreparation),
        (resources.ImagePreparation, preparation.ImagePreparation),
        (resources.Tokenizer, inspection.TokenizerInspection),
        (resources.TargetCoverage, inspection.TargetCoverage),
        (resources.Estimate, inspection.Estimate),
        (resources.Column, inspection.ColumnInspection),
        (resources.Tensor, inspection.TensorSpec),
        (resources.Notice, inspection.Notice),
        *RESULTS,
        (resources.File, FileRead),
        (resources.Objective, objective.Objective),
        (resources.JobEstimate, JobEstimate),
        (resources.Validation, ValidationRead),
        (resources.StageState, StageRead),
    ],
)
def test_the_fields_are_the_same(typed: Any, contract: Any) -> None:
    assert set(get_type_hints(typed)) == set(contract.model_fields) - {"object"}


@pytest.mark.parametrize(("typed", "contract"), RESULTS)
def test_what_may_be_null_is_the_same(typed: Any, contract: Any) -> None:
    """What was not measured is null: whoever reads it must be told by the type."""
    nullable = {name for name, field in contract.model_fields.items() if _may_be_null(field.annotation)}
    assert {name for name, hint in get_type_hints(typed).items() if _may_be_null(hint)} == nullable


def _may_be_null(hint: Any) -> bool:
    return NoneType in get_args(hint)


def test_a_job_has_the_fields_of_the_contract_but_for_a_few_that_nobody_asked_for() -> None:
    unasked = {"priority", "deadline_seconds"}
    assert set(get_type_hints(resources.JobRequest)) == set(JobCreate.model_fields) - unasked
    assert set(get_type_hints(resources.JobData)) == set(JobRead.model_fields) - unasked - {"object", "reused"}


@pytest.mark.parametrize("typed", [resources.TextPreparation, resources.ImagePreparation])
def test_what_the_service_has_no_default_for_is_required(typed: Any) -> None:
    contract = getattr(preparation, typed.__name__)
    needed = {name for name, field in contract.model_fields.items() if field.is_required()}
    assert typed.__required_keys__ == needed | {"kind"}


@pytest.mark.parametrize(
    ("typed", "contract"),
    [
        (resources.TextPreparation, preparation.TextPreparation),
        (resources.ImagePreparation, preparation.ImagePreparation),
        *RESULTS,
    ],
)
def test_words_are_the_same(typed: Any, contract: Any) -> None:
    fields = contract.model_fields
    for name, hint in get_type_hints(typed).items():
        words = get_args(hint)
        if words and all(isinstance(word, str) for word in words):
            assert words == get_args(fields[name].annotation), name


def test_formats_are_the_same() -> None:
    assert set(get_args(resources.DatasetFormat)) == set(get_args(formats.DatasetFormat))
    known = set(get_args(formats.ModelFormat)) | set(get_args(formats.UploadedModelFormat))
    assert set(get_args(resources.ModelFormat)) == known


def test_what_inspections_find_has_a_type() -> None:
    # of producer and version nobody asked yet; what the first axis counts is for those who hold data against it
    told = set(inspection.ModelInspection.model_fields) - {"ir_version", "producer", "time_first"}
    assert told <= set(get_type_hints(resources.Model))
    # what is for those who hold data against a model is not
    told = set(inspection.DatasetInspection.model_fields) - {"left_out", "labels_one_hot"}
    assert told <= set(get_type_hints(resources.Dataset))
