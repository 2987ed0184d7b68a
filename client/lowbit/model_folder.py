"""The files that make up a model in a folder: a transformers checkpoint, or an ONNX file with its weights beside it."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from lowbit.errors import UnsuitableSource
from lowbit.folder_walk import Wanted, require_inside

CHECKPOINT_SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".model", ".jinja"})
"""Weights, configuration and tokenizer: all that a transformers checkpoint is loaded from."""

OTHER_FORMS = ("openvino", "coreml", "onnx")
"""Folders in which a checkpoint comes with the same model once more."""

NO_PART_OF_ONNX = frozenset(
    {".ckpt", ".h5", ".joblib", ".msgpack", ".ot", ".pickle", ".pkl", ".pt", ".pt2", ".pth", ".py", ".safetensors"}
    | {".csv", ".jsonl", ".npy", ".npz", ".parquet", ".gz", ".tar", ".tgz", ".zip", ".png", ".jpg", ".jpeg", ".webp"}
    | {".engine", ".gguf", ".ort", ".pb", ".plan", ".tflite"}
)
"""Pickles, data, archives and other forms often lie beside a model. External data may have any other suffix."""

PICKLED = ("pytorch_model", "training_args", "openvino_model", "optimizer")
"""Files ending in .bin that are no external data begin with one of these."""

A_MODEL = "config.json with .safetensors and tokenizer files, or one .onnx file with its external data"


def wanted_of_model(folder: Path) -> Wanted:
    return _of_checkpoint if _is_checkpoint(folder) else _of_onnx


def require_one_model(folder: Path, names: Sequence[str]) -> None:
    """Raises UnsuitableSource unless exactly one model is among the wanted files."""
    models = [name for name in names if name.lower().endswith(".onnx")]
    if _is_checkpoint(folder) or len(models) == 1:
        return
    if models:
        shown = ", ".join(models[:5]) + (", ..." if len(models) > 5 else "")
        raise UnsuitableSource(f"{folder} holds {len(models)} ONNX models: {shown}. Name one of the files.")
    if (folder / "config.json").is_file():
        raise UnsuitableSource(
            f"{folder} has a config.json but no .safetensors: pickled weights are never loaded. "
            "Save it again with model.save_pretrained(folder, safe_serialization=True)."
        )
    raise UnsuitableSource(f"{folder} holds no model. A folder with one has {A_MODEL}.")


def external_data(model: Path) -> list[Path]:
    """The files beside an ONNX model that hold its weights, by the names that exporters give them.

    A `model.onnx_data` without a `model.onnx` belongs to a model that was renamed.
    """
    names = [re.escape(model.name)]
    if not model.with_name("model.onnx").exists():
        names.append(r"model\.onnx")
    pattern = re.compile(rf"({'|'.join(names)})(\.data|_data(_\d+)?)")
    found = [path for path in model.parent.iterdir() if pattern.fullmatch(path.name) and path.is_file()]
    for path in found:
        require_inside(path, model.parent)
    return found


def _is_checkpoint(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _of_checkpoint(name: PurePosixPath, is_folder: bool) -> bool:  # noqa: FBT001  part of what is asked
    if is_folder:
        return name.name not in OTHER_FORMS and not name.name.startswith("checkpoint-")
    return name.suffix.lower() in CHECKPOINT_SUFFIXES and not name.name.startswith("pytorch_model")


def _of_onnx(name: PurePosixPath, is_folder: bool) -> bool:  # noqa: FBT001  part of what is asked
    if is_folder:
        return name.name not in OTHER_FORMS[:2]
    if name.suffix.lower() == ".bin":
        return not name.name.startswith(PICKLED)
    return name.suffix.lower() not in NO_PART_OF_ONNX
