"""The first samples of a data set: a few to look at, a digest to know them again, and how many repeat each other."""

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app.contracts.inspection import PreviewValue
from app.contracts.problem import quoted
from workers.ingestion.data.row_digests import row_digests
from workers.ingestion.data.table import Table, rows_at_a_time

_PREVIEWED = 3
_PREVIEWED_CHARACTERS = 80
_PREVIEWED_ELEMENTS = 8
_DIGESTED = 64
_COMPARED = 10_000
_COMPARED_BYTES = 256 << 20
_LARGEST_ROW = 64 << 20
"""Of samples larger than this, none is held in memory just to describe it."""

Preview = tuple[dict[str, PreviewValue], ...]


class Summary(NamedTuple):
    preview: Preview = ()
    digest: str | None = None
    compared: int = 0
    duplicates: int = 0
    """Of those compared, how many repeat an earlier one."""


def summarize(table: Table, content: tuple[str, ...], *, named: bool) -> Summary:
    """`content` are the columns that make a sample what it is: not its label. See `row_digests` for `named`."""
    if table.row_bytes > _LARGEST_ROW:
        return Summary()
    limit = max(_DIGESTED, min(_COMPARED, _COMPARED_BYTES // table.row_bytes))
    rows = rows_at_a_time(table.row_bytes)
    digests = list(row_digests(table, content, rows=rows, limit=limit, named=named))
    digest = hashlib.sha256(b"".join(digests[:_DIGESTED])).hexdigest()
    return Summary(_preview(table), digest, len(digests), len(digests) - len(set(digests)))


def _preview(table: Table) -> Preview:
    first = next(table.batches(_PREVIEWED, limit=_PREVIEWED))
    count = len(next(iter(first.values())))
    return tuple({name: _shortened(array[row]) for name, array in first.items()} for row in range(count))


def _shortened(value: npt.NDArray[np.generic] | np.generic | str) -> PreviewValue:
    if isinstance(value, str):
        return quoted(value)[:_PREVIEWED_CHARACTERS]
    if value.ndim:
        return tuple(v.item() for v in value.reshape(-1)[:_PREVIEWED_ELEMENTS])
    found: PreviewValue = value.item()
    return found
