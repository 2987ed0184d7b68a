"""What several tests of the workers need: a voice to listen to, archives, and a network that was really trained."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from sklearn.datasets import load_digits

from tests.workers.quantization.small_models import model_of
from workers.protocol.reporter import Reporter
from workers.quantization.executor.onnxruntime_session import quiet_logs

quiet_logs()


@pytest.fixture
def reporter() -> Reporter:
    return Reporter(io.StringIO())


@pytest.fixture
def events(reporter: Reporter) -> Any:
    """A function that returns what was said so far."""
    return lambda: [json.loads(line) for line in reporter.stream.getvalue().splitlines()]


@pytest.fixture
def npz(tmp_path: Path) -> Any:
    """A function that writes arrays into an archive and returns its path."""

    def write(name: str = "data.npz", **arrays: Any) -> Path:
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def digits() -> Any:
    """(model, calibration arrays, evaluation arrays): real handwritten digits, 1,000 to train on and 797 to test."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    x = (pixels[order] / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    y = labels[order].astype(np.int64)
    model = _trained(x[:1000], y[:1000])
    return model, {"image": x[:256]}, {"image": x[1000:], "labels": y[1000:]}


def _trained(x: Any, y: Any) -> onnx.ModelProto:
    torch.manual_seed(0)
    conv1, norm = torch.nn.Conv2d(1, 32, 3, padding=1), torch.nn.BatchNorm2d(32)
    conv2, head = torch.nn.Conv2d(32, 64, 3, padding=1), torch.nn.Linear(64, 10)
    layers = torch.nn.Sequential(
        conv1, norm, torch.nn.ReLU(), torch.nn.MaxPool2d(2), conv2, torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), head,
    )  # fmt: skip
    optimizer = torch.optim.Adam(layers.parameters(), 5e-3)
    images, targets = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(8):
        for rows in torch.randperm(len(y)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(layers(images[rows]), targets[rows]).backward()
            optimizer.step()
    return _as_onnx(conv1, norm, conv2, head)


def _as_onnx(conv1: Any, norm: Any, conv2: Any, head: Any) -> onnx.ModelProto:
    n = helper.make_node
    nodes = [
        n("Conv", ["image", "conv1.weight", "conv1.bias"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
        n("BatchNormalization", ["c1", "gamma", "beta", "mean", "var"], ["n1"], name="norm"),
        n("Relu", ["n1"], ["r1"], name="relu1"),
        n("MaxPool", ["r1"], ["p1"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        n("Conv", ["p1", "conv2.weight", "conv2.bias"], ["c2"], name="conv2", pads=[1, 1, 1, 1]),
        n("Relu", ["c2"], ["r2"], name="relu2"),
        n("GlobalAveragePool", ["r2"], ["g"], name="average"),
        n("Flatten", ["g"], ["f"], name="flatten"),
        n("Gemm", ["f", "head.weight", "head.bias"], ["logits"], name="head", transB=1),
    ]
    tensors = {
        "conv1.weight": conv1.weight, "conv1.bias": conv1.bias, "gamma": norm.weight, "beta": norm.bias,
        "mean": norm.running_mean, "var": norm.running_var, "conv2.weight": conv2.weight, "conv2.bias": conv2.bias,
        "head.weight": head.weight, "head.bias": head.bias,
    }  # fmt: skip
    weights = {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}
    return model_of(nodes, weights, inputs={"image": ["batch", 1, 8, 8]}, outputs={"logits": ["batch", 10]})
