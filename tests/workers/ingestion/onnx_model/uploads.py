"""Models as people upload them, with weights in files beside them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

Array = np.ndarray[Any, Any]


def saved(folder: Path, model: onnx.ModelProto, *, entries: Any = None, tensor: int = 0) -> Path:
    """Written by onnx itself, all tensors in weights.bin; `entries` replace what one tensor says about its data."""
    path = folder / "model.onnx"
    (folder / "weights.bin").unlink(missing_ok=True)  # onnx would append to it
    onnx.save_model(
        model, path, save_as_external_data=True, location="weights.bin", size_threshold=0, convert_attribute=True
    )
    if entries is not None:
        written = onnx.load_model(path, load_external_data=False)
        told = {e.key: e.value for e in written.graph.initializer[tensor].external_data}
        replace_entries(written.graph.initializer[tensor], [*{**told, **dict(entries)}.items()])
        path.write_bytes(written.SerializeToString())
    return path


def replace_entries(tensor: onnx.TensorProto, entries: Any) -> None:
    del tensor.external_data[:]
    for key, value in entries:
        if value is not None:
            tensor.external_data.add(key=key, value=value)


def outputs(model: Path, feeds: Any = None) -> list[Array]:
    """Of random inputs, symbolic extents being 2."""
    session = ort.InferenceSession(model)
    return session.run(None, random_feeds(session) if feeds is None else feeds)


def random_feeds(session: ort.InferenceSession, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shapes = {i.name: [d if isinstance(d, int) else 2 for d in i.shape] for i in session.get_inputs()}
    return {
        i.name: rng.normal(size=shapes[i.name]).astype(np.float32)
        if i.type == "tensor(float)"
        else rng.integers(0, 2, shapes[i.name]).astype(np.bool_ if i.type == "tensor(bool)" else i.type[7:-1])
        for i in session.get_inputs()
    }
