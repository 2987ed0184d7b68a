"""What a person names on the command line: a path or an id. Mistakes are found before anything is sent."""

from pathlib import Path

import typer

from lowbit.errors import UnsuitableSource
from lowbit.folder_contents import to_pack
from lowbit.resources import Purpose

FILES: dict[Purpose, tuple[str, ...]] = {
    "model": (".onnx", ".zip", ".tar", ".tar.gz", ".tgz", ".pt2"),
    "dataset": (".npz", ".safetensors", ".parquet", ".jsonl", ".csv", ".zip"),
}
FOLDERS: dict[Purpose, str] = {
    "model": "a folder with a transformers checkpoint or an ONNX model",
    "dataset": "a folder of images",
}
PREFIXES: dict[Purpose, str] = {"model": "mdl_", "dataset": "ds_"}


def model_source(value: str) -> str:
    return _path_or_id(value, "model")


def dataset_source(value: str | None) -> str | None:
    return None if value is None else _path_or_id(value, "dataset")


def model_path(value: str) -> str:
    return _path(value, "model")


def dataset_path(value: str) -> str:
    return _path(value, "dataset")


def is_id(value: str) -> bool:
    """Of a source that was found to be one or the other."""
    return not Path(value).exists()


def _path_or_id(value: str, purpose: Purpose) -> str:
    if Path(value).exists():
        return _path(value, purpose)
    if value.startswith(PREFIXES[purpose]):
        return value
    raise typer.BadParameter(f"there is no file or folder {value!r}, and it is not an id ({PREFIXES[purpose]}...)")


def _path(value: str, purpose: Purpose) -> str:
    path = Path(value)
    if not path.exists():
        raise typer.BadParameter(f"there is no file or folder {value!r}")
    if not path.is_dir() and not (path.is_file() and value.lower().endswith(FILES[purpose])):
        raise typer.BadParameter(f"{value!r} is not accepted; {accepted(purpose)}")
    try:
        to_pack(path, purpose)
    except (UnsuitableSource, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    return value


def accepted(purpose: Purpose) -> str:
    return f"what is: {', '.join(FILES[purpose])} files, or {FOLDERS[purpose]}"
