"""The content of a delivered model without what the service wrote into it about the job."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import onnx

STAMP_PREFIX = "lowbit."
"""Written down here again: nothing of either checkout's code may decide what is compared."""


@dataclass(frozen=True)
class Content:
    sha256: str
    bytes: int


def content_of(path: Path, *, kind: str) -> Content:
    """What a file of a variant holds. Weights that lie beside their model carry no stamp and count byte for byte."""
    data = path.read_bytes()
    content = unstamped(data) if kind == "model" else data
    return Content(hashlib.sha256(content).hexdigest(), len(content))


def unstamped(data: bytes) -> bytes:
    """The model without metadata of Lowbit's own (the job's ids, the recipe's digest); metadata of others stays."""
    model = onnx.ModelProto.FromString(data)
    others = [entry for entry in model.metadata_props if not entry.key.startswith(STAMP_PREFIX)]
    kept = [(entry.key, entry.value) for entry in others]
    del model.metadata_props[:]
    for key, value in kept:
        model.metadata_props.add(key=key, value=value)
    return bytes(model.SerializeToString(deterministic=True))
