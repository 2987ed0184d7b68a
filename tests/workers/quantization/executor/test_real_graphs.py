"""Networks that people really run, in the torch executor and in ONNX Runtime."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from sklearn.datasets import load_digits, load_sample_image

from tests.real_data import MAGIKA, READER, READERS, files_as_bytes, lines_of_text
from tests.workers.quantization.executor.exported_models import (
    VOCABULARY,
    batch_norm_cnn,
    text_model,
    vision_transformer,
)
from workers.quantization.executor.onnxruntime_executor import OnnxRuntimeExecutor
from workers.quantization.executor.torch_executor import TorchExecutor

TOLERANCE = 1e-4  # of the output's largest value

DETECTOR = next(path for path in READERS if "det" in path.name)
DIRECTION = next(path for path in READERS if "cls" in path.name)


def test_the_file_type_classifier() -> None:
    _assert_equal(ir.load(MAGIKA), files_as_bytes(4))
    _assert_equal(ir.load(MAGIKA), files_as_bytes(1))


@pytest.mark.parametrize("path", [READER, DIRECTION], ids=lambda path: path.name)
def test_the_readers_of_text_lines(path: Any) -> None:
    _assert_equal(ir.load(path), lines_of_text(2), np.ascontiguousarray(lines_of_text(1)[:, :, :, :129]))


def test_the_detector_of_text_on_a_photograph_and_on_text() -> None:
    photograph = load_sample_image("china.jpg")[:320:2, :512:2].transpose(2, 0, 1)[None] / np.float32(127.5) - 1
    text = np.concatenate(list(lines_of_text(2)), axis=1)[None]  # two lines, one above the other
    _assert_equal(ir.load(DETECTOR), photograph, text)


def test_a_convolutional_network_on_digits() -> None:
    images = (load_digits(return_X_y=True)[0][:32] / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    model = batch_norm_cnn()
    assert "BatchNormalization" in {node.op_type for node in model.graph}
    _assert_equal(model, images, images[:1])


def test_a_vision_transformer() -> None:
    images = np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)
    _assert_equal(vision_transformer(), images, images[:1])


@pytest.mark.parametrize("kind", ["bert", "distilbert", "gpt2"])
def test_text_transformers_at_two_batches_and_lengths(kind: str) -> None:
    _assert_equal(text_model(kind), _padded_text(3, 11), _padded_text(1, 5))


def test_a_text_transformer_from_the_dynamo_exporter() -> None:
    _assert_equal(text_model("bert", dynamo=True), _padded_text(3, 11), _padded_text(2, 5))


def _padded_text(batch: int, length: int) -> tuple[Any, Any]:
    """Token ids, and a mask that ends each row one token before the one above it."""
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (batch, length))
    return ids, (np.arange(length) < length - np.arange(batch)[:, None]).astype(np.int64)


def _assert_equal(model: ir.Model, *inputs: Any) -> None:
    torch_executor, reference = TorchExecutor(model), OnnxRuntimeExecutor(model, threads=1)
    assert torch_executor.inputs == reference.inputs
    for values in inputs:
        arrays = values if isinstance(values, tuple) else (values,)
        feeds = dict(zip(reference.inputs, arrays, strict=True))
        expected = reference.run(feeds)
        for name, got in torch_executor.run(feeds).items():
            assert got.shape == expected[name].shape
            assert np.abs(got - expected[name]).max() <= TOLERANCE * np.abs(expected[name]).max()
