from typing import Any

import pytest

from app.contracts.fit import check_fit
from app.contracts.inspection import ModelInspection, TokenizerInspection
from app.contracts.preparation import TextPreparation
from app.contracts.problem import Problem
from tests.app.contracts.inspections import data, model

IDS = ("input_ids", "int64", ("batch", "tokens"))
MASK = ("attention_mask", "int64", ("batch", "tokens"))
BERT = (IDS, MASK, ("token_type_ids", "int64", ("batch", "tokens")))


def reader(*inputs: Any, max_length: int | None = 512) -> ModelInspection:
    """A model that came with its tokenizer."""
    return model(*inputs, tokenizer=TokenizerInspection(vocabulary=100, max_length=max_length, pads=True))


def fit(of: ModelInspection, **preparation: Any) -> Problem | None:
    texts = data(("text", "string", (7,)), format="jsonl", preparation=TextPreparation(**preparation))
    return check_fit(of, texts)


@pytest.mark.parametrize(
    "inputs",
    [
        BERT,
        (IDS,),
        (IDS, ("position_ids", "int32", (1, "tokens"))),
        (IDS, ("attention_mask", "float32", ("batch", "tokens"))),
        (("input_ids", "int32", ("batch", 128)), ("attention_mask", "int32", ("batch", 128))),
    ],
)
def test_models_of_tokens_can_be_fed_with_texts(inputs: Any) -> None:
    assert fit(reader(*inputs)) is None


def test_text_needs_the_models_tokenizer() -> None:
    found = fit(model(*BERT))
    assert (found.code, bool(found.hint)) == ("tokenizer_missing", True)


@pytest.mark.parametrize(
    ("inputs", "code", "entry"),
    [
        ((MASK,), "calibration_input_missing", "input_ids"),
        ((("ids", "int64", ("n", "t")),), "calibration_input_missing", "input_ids"),
        ((*BERT, ("pixel_values", "float32", ("n", 3, 8, 8))), "calibration_input_missing", "pixel_values"),
        ((("input_ids", "int64", ("n",)),), "calibration_shape_mismatch", "input_ids"),
        ((("input_ids", "float32", ("n", "t")),), "calibration_dtype_mismatch", "input_ids"),
        ((IDS, ("token_type_ids", "float32", ("n", "t"))), "calibration_dtype_mismatch", "token_type_ids"),
    ],
)
def test_what_tokenizing_cannot_fill_is_named(inputs: Any, code: str, entry: str) -> None:
    found = fit(reader(*inputs))
    assert (found.code, found.errors[0].entry) == (code, entry)


@pytest.mark.parametrize(
    ("tokens", "limit", "asked", "most"),
    [
        ("t", 512, 512, None),
        ("t", 512, 513, 512),
        ("t", None, 16_384, None),
        (128, 512, 128, None),
        (128, 512, 200, 128),
        (128, None, None, None),
    ],
)
def test_texts_may_be_as_long_as_the_model_takes_them(
    tokens: Any, limit: int | None, asked: int | None, most: int | None
) -> None:
    found = fit(reader(("input_ids", "int64", ("n", tokens)), max_length=limit), max_length=asked)
    if most is None:
        assert found is None
    else:
        assert (found.code, f"{most} or less" in found.hint) == ("preparation_invalid", True)


def test_inputs_of_different_fixed_lengths_fit_no_text() -> None:
    found = fit(reader(("input_ids", "int64", ("n", 8)), ("attention_mask", "int64", ("n", 9))))
    assert found.code == "calibration_shape_mismatch"
