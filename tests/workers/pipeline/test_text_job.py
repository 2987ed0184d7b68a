"""A job whose data is text, from the files to its result: the same as with tokens that were stored beforehand."""

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from app.contracts.objective import Benchmark, Objective
from app.contracts.preparation import TextPreparation
from app.contracts.recipes.presets import PRESETS
from tests.workers.pipeline.jobs import VOCABULARY, attention
from workers.ingestion.data.opening import open_samples
from workers.ingestion.onnx_model.description import describe
from workers.ingestion.tokenizer_facts import TokenizerFacts
from workers.pipeline.__main__ import attempt
from workers.protocol.canonical_files import TOKENIZER_FACTS_FILE, TOKENIZER_FILE
from workers.protocol.outcome import Finished, Refused
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import QuantizeTask

NAMES = ("zero", "one", "two", "three", "four")
"""Not in alphabetical order: sorted, they would be other classes."""
WORDS = [f"w{i}" for i in range(1, VOCABULARY)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(attention().SerializeToString())
    tokenizer = Tokenizer(WordLevel({"pad": 0, **{word: i for i, word in enumerate(WORDS, 1)}}, unk_token="pad"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / TOKENIZER_FILE))
    facts = TokenizerFacts(vocabulary=VOCABULARY, max_length=12, pad_token_id=0)
    (tmp_path / TOKENIZER_FACTS_FILE).write_text(facts.model_dump_json())
    return tmp_path


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    texts = (" ".join(rng.choices(WORDS, k=rng.randint(1, 14))) for _ in range(count))
    return [{"text": text, "label": rng.choice(NAMES)} for text in texts]


def outcome_of(folder: Path, calibration: str, evaluation: str, **options: Any) -> Any:
    wanted = QuantizeTask(
        model="model.onnx", calibration=calibration, evaluation=evaluation, model_name="m",
        target="onnxruntime-cpu", recipe=PRESETS["int8-fast"], objective=Objective(max_accuracy_drop=1.0),
        benchmark=Benchmark(batch_sizes=(1,), duration_s=0.1), threads=1, **options,
    )  # fmt: skip
    return attempt(wanted, folder, Reporter(io.StringIO()))


def write_texts(folder: Path) -> None:
    (folder / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(60, 0)))
    with (folder / "e.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows(40, 1))


def write_tokens(folder: Path) -> None:
    """As the numbers of words, each padded to the 12 that the model takes."""
    for name, count, seed in (("c.npz", 60, 0), ("e.npz", 40, 1)):
        ids = np.zeros((count, 12), np.int64)
        for row, sample in zip(ids, rows(count, seed), strict=True):
            numbers = [int(word[1:]) for word in sample["text"].split()][:12]
            row[: len(numbers)] = numbers
        labels = np.array([NAMES.index(sample["label"]) for sample in rows(count, seed)])
        np.savez(folder / name, input_ids=ids, attention_mask=(ids != 0).astype(np.int64), labels=labels)


def test_a_job_on_texts_finds_what_one_on_their_tokens_finds(folder: Path) -> None:
    write_texts(folder)
    write_tokens(folder)
    declared = TextPreparation(label="label", padding="max_length")
    texts = outcome_of(
        folder, "c.jsonl", "e.csv", model_classes=NAMES, calibration_preparation=declared,
        evaluation_preparation=declared,
    )  # fmt: skip
    models = {path.name: path.read_bytes() for path in (folder / "outputs").glob("*.onnx")}
    tokens = outcome_of(folder, "c.npz", "e.npz")
    assert isinstance(texts, Finished), texts
    assert isinstance(tokens, Finished), tokens
    assert models == {path.name: path.read_bytes() for path in (folder / "outputs").glob("*.onnx")}
    measured = [
        [(v.key, v.metrics.accuracy, v.metrics.agreement, v.metrics.sqnr_db) for v in found.ok.outcome.variants]
        for found in (texts, tokens)
    ]
    assert measured[0] == measured[1]
    assert measured[0][0][1] is not None
    assert "classes_in_alphabetical_order" not in {w.code for w in texts.ok.outcome.warnings}


def test_classes_that_nobody_named_are_sorted_with_a_warning(folder: Path) -> None:
    write_texts(folder)
    told: list[str] = []
    samples = open_samples(
        folder / "e.csv", preparation=None, model=describe(attention()), model_folder=folder,
        warn=lambda _, detail: told.append(detail),
    )  # fmt: skip
    (batch,) = samples.batches(40, names=("labels",))
    assert batch["labels"].tolist() == [sorted(NAMES).index(row["label"]) for row in rows(40, 1)]
    assert len(told) == 1
    assert told[0].endswith("alphabetical: four, one, three, two, zero.")


def test_tokens_beyond_the_models_table_are_refused_in_the_job(folder: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"pad": 0, "w1": VOCABULARY}, unk_token="pad"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / TOKENIZER_FILE))
    write_texts(folder)
    outcome = outcome_of(folder, "c.jsonl", "e.csv", model_classes=NAMES)
    assert isinstance(outcome, Refused)
    assert outcome.problem.code == "calibration_index_out_of_range"
