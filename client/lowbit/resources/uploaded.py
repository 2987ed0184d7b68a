"""Files, and what they hold."""

from typing import Literal, TypedDict

from lowbit.resources.envelope import Links

Purpose = Literal["model", "dataset"]
ModelFormat = Literal["onnx", "archive", "transformers", "torch_export"]
"""`archive` until the inspection has found what is in it."""
DatasetFormat = Literal["npz", "safetensors", "parquet", "jsonl", "csv", "images"]


class File(TypedDict):
    id: str
    filename: str
    purpose: Purpose
    format: str
    bytes: int
    sha256: str
    created_at: str
    links: Links
