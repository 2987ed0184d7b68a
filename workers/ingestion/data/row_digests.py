"""Samples told apart by a hash of their content, the same whatever format they are stored in.

Whole numbers and booleans count as int64 and the others as float32: a text file does not say how wide its numbers are.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from workers.ingestion.data.samples import Batch, Samples

_DIGEST_BYTES = 16


def row_digests(
    samples: Samples, names: tuple[str, ...], *, rows: int, limit: int, named: bool = True
) -> Iterator[bytes]:
    """Of the first `limit` samples, read in batches of `rows`; the order of columns does not matter.

    Columns count by their name, or by their place in `names` where they are not `named`.
    """
    for batch in samples.batches(rows, names=names, limit=limit):
        yield from batch_digests(batch, tuple(sorted(names)) if named else names, named=named)


def batch_digests(batch: Batch, names: tuple[str, ...], *, named: bool = True) -> list[bytes]:
    columns = [(name if named else str(place), batch[name]) for place, name in enumerate(names)]
    rows = [hashlib.blake2b(digest_size=_DIGEST_BYTES) for _ in range(len(columns[0][1]))] if columns else []
    for label, array in columns:
        opening = f"{label}\0{array.shape[1:]}\0".encode()
        for row, content in zip(rows, _contents(array), strict=True):
            row.update(opening)
            row.update(len(content).to_bytes(8, "little"))
            row.update(content)
    return [row.digest() for row in rows]


def _contents(array: npt.NDArray[np.generic]) -> list[bytes]:
    """One run of bytes for each row."""
    if array.dtype.kind == "T":
        return [str(text).encode() for text in array]
    with np.errstate(over="ignore"):  # what float32 does not hold is as good as infinite here
        plain = np.ascontiguousarray(array.astype("<f4" if array.dtype.kind == "f" else "<i8"))
    return [row.tobytes() for row in plain]
