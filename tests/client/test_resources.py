"""The client's types say what the service's contracts say. The client cannot import those; a test can."""

from typing import Any, get_args, get_type_hints

import pytest
from lowbit import resources

from app.contracts import formats, inspection, preparation


@pytest.mark.parametrize(
    ("typed", "contract"),
    [
        (resources.TextPreparation, preparation.TextPreparation),
        (resources.ImagePreparation, preparation.ImagePreparation),
        (resources.Tokenizer, inspection.TokenizerInspection),
        (resources.TargetCoverage, inspection.TargetCoverage),
        (resources.Estimate, inspection.Estimate),
        (resources.Column, inspection.ColumnInspection),
    ],
)
def test_the_fields_are_the_same(typed: Any, contract: Any) -> None:
    assert set(get_type_hints(typed)) == set(contract.model_fields)


@pytest.mark.parametrize("typed", [resources.TextPreparation, resources.ImagePreparation])
def test_what_the_service_has_no_default_for_is_required(typed: Any) -> None:
    contract = getattr(preparation, typed.__name__)
    needed = {name for name, field in contract.model_fields.items() if field.is_required()}
    assert typed.__required_keys__ == needed | {"kind"}


@pytest.mark.parametrize(
    ("typed", "contract"),
    [(resources.TextPreparation, "TextPreparation"), (resources.ImagePreparation, "ImagePreparation")],
)
def test_words_are_the_same(typed: Any, contract: str) -> None:
    fields = getattr(preparation, contract).model_fields
    for name, hint in get_type_hints(typed).items():
        words = get_args(hint)
        if words and all(isinstance(word, str) for word in words):
            assert words == get_args(fields[name].annotation), name


def test_formats_are_the_same() -> None:
    assert set(get_args(resources.DatasetFormat)) == set(get_args(formats.DatasetFormat))
    known = set(get_args(formats.ModelFormat)) | set(get_args(formats.UploadedModelFormat))
    assert set(get_args(resources.ModelFormat)) == known


def test_what_inspections_find_has_a_type() -> None:
    # of producer and version nobody asked yet
    told = set(inspection.ModelInspection.model_fields) - {"ir_version", "producer"}
    assert told <= set(get_type_hints(resources.Model))
    assert set(inspection.DatasetInspection.model_fields) <= set(get_type_hints(resources.Dataset))
