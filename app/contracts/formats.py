"""The formats of files, as far as their first bytes tell, and of what was found in them."""

from typing import Literal

UploadedModelFormat = Literal["onnx", "archive", "torch_export"]
"""`archive`: a zip or tar with an ONNX model and its external data, or a transformers checkpoint."""
UploadedDatasetFormat = Literal["npz", "safetensors", "parquet", "jsonl", "csv", "images"]
"""`npz` and `images` are both zips, told apart by their first entry."""

ModelFormat = Literal["onnx", "transformers", "torch_export"]
"""Where the ONNX graph came from."""
DatasetFormat = UploadedDatasetFormat

EXTENSIONS: dict[UploadedModelFormat | UploadedDatasetFormat, str] = {
    "onnx": ".onnx",
    "archive": ".archive",
    "torch_export": ".pt2",
    "npz": ".npz",
    "safetensors": ".safetensors",
    "parquet": ".parquet",
    "jsonl": ".jsonl",
    "csv": ".csv",
    "images": ".zip",
}
