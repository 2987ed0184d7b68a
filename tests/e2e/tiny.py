"""A tiny convolutional classifier and data for it: enough to go through every stage in seconds."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 4
QUICK_BENCHMARK = {"batch_sizes": [1, 4], "duration_s": 0.2}


def model_bytes(**changes: Any) -> bytes:
    """[batch, 1, 8, 8] float32 `image` -> [batch, 4] float32 `scores`. `changes` replaces graph parts by name."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(0, 0.5, (8, 1, 3, 3)),
        "b1": rng.normal(0, 0.1, 8),
        "w2": rng.normal(0, 0.2, (16, 8, 3, 3)),
        "b2": rng.normal(0, 0.1, 16),
        "w3": rng.normal(0, 0.5, (16, CLASSES)),
        "b3": np.zeros(CLASSES),
        **changes.get("weights", {}),
    }
    nodes = changes.get("nodes") or [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], name="conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"], name="relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["scores"], name="classifier"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(np.asarray(v, dtype=np.float32), k) for k, v in weights.items()],
    )
    opsets = [helper.make_opsetid("", changes.get("opset", 17)), *changes.get("opsets", [])]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    for edit in changes.get("edits", []):
        edit(model)
    return bytes(model.SerializeToString())


def npz_bytes(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def images(count: int, *, seed: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(0, 1, (count, 1, 8, 8)).astype(np.float32)


def calibration_bytes(count: int = 64) -> bytes:
    return npz_bytes(image=images(count))


def evaluation_bytes(count: int = 100) -> bytes:
    """Labelled by the float model itself, so that its accuracy is 1 and every loss is the quantization's."""
    import onnxruntime

    data = images(count, seed=2)
    scores = onnxruntime.InferenceSession(model_bytes()).run(None, {"image": data})[0]
    return npz_bytes(image=data, labels=scores.argmax(axis=1))


def write_files(folder: Path) -> tuple[Path, Path, Path]:
    """The model, the calibration and the evaluation data as files."""
    paths = folder / "tiny.onnx", folder / "calibration.npz", folder / "evaluation.npz"
    for path, content in zip(paths, (model_bytes(), calibration_bytes(), evaluation_bytes()), strict=True):
        path.write_bytes(content)
    return paths


def load(content: bytes) -> onnx.ModelProto:
    return onnx.load_model_from_string(content)
