"""safetensors files byte by byte, so that they can be wrong."""

import json
import struct
from typing import Any


def tensor(dtype: str, shape: list[Any], begin: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def file_of(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    """`header` as JSON, or as the bytes it is. `length`: what the file says of it, where that is another."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data
