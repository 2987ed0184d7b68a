"""Columns of Parquet as arrays: numbers as they are, lists of one length as further axes, texts as texts."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.data.lines import MAX_LINE_BYTES
from workers.ingestion.data.table import TEXT

_NUMBERS = {
    str(t): t.to_pandas_dtype().__name__
    for t in (
        pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
        pa.float16(), pa.float32(), pa.float64(), pa.bool_(),
    )
}  # fmt: skip

DIFFERENT_LENGTHS = "holds lists that differ in length"
ONE_LENGTH = "Pad them to one length, or store the texts."


class ColumnType(NamedTuple):
    name: str
    dtype: str
    depth: int
    """How many lists are around each number."""


def column_type(field: pa.Field) -> ColumnType:
    """Raises ProblemFound for what is neither text nor numbers nor lists of numbers."""
    if b"ARROW:extension:name" in (field.metadata or {}) or isinstance(field.type, pa.BaseExtensionType):
        raise unusable(field.name, "has an extension type")
    found, depth = field.type, 0
    while _is_list(found):
        found, depth = found.value_type, depth + 1
    if isinstance(found, pa.DictionaryType):
        found = found.value_type if _is_text(found.value_type) else found
    if _is_text(found) and not depth:
        return ColumnType(field.name, TEXT, 0)
    if str(found) not in _NUMBERS:
        raise unusable(field.name, f"is of type {quoted(str(field.type))}")
    return ColumnType(field.name, _NUMBERS[str(found)], depth)


def to_numpy(array: pa.Array, column: ColumnType, shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
    """[rows, *shape]. Raises ProblemFound for gaps, and for lists of another length."""
    if column.dtype == TEXT:
        return _texts(array, column.name)
    rows = len(array)
    for extent in shape:
        array = _opened(array, column.name, extent)
    _refuse_gaps(array, column.name)
    values: npt.NDArray[np.generic] = array.to_numpy(zero_copy_only=False)
    return values.astype(column.dtype, copy=False).reshape(rows, *shape)


def shape_of_one(array: pa.Array, column: ColumnType) -> tuple[int, ...]:
    """Of the first row, which all others must have. Raises ProblemFound."""
    shape: tuple[int, ...] = ()
    for _ in range(column.depth):
        _refuse_gaps(array, column.name)
        extent = _lengths(array)[0].as_py()
        if not extent:
            raise unusable(column.name, "holds an empty list")
        shape += (extent,)
        array = _opened(array, column.name, extent)
    return shape


def text_bytes(array: pa.Array) -> int:
    """Of all rows together, counted before any of them is made: many rows can be one long text of a dictionary."""
    if isinstance(array, pa.DictionaryArray):
        lengths = pc.binary_length(array.dictionary).take(array.indices)
    else:
        lengths = pc.binary_length(array)
    return int(pc.sum(lengths).as_py() or 0)


def _texts(array: pa.Array, name: str) -> npt.NDArray[np.generic]:
    _refuse_gaps(array, name)
    words = array.dictionary if isinstance(array, pa.DictionaryArray) else array
    if len(words) and pc.max(pc.binary_length(words)).as_py() > MAX_LINE_BYTES:
        raise unusable(name, f"holds a text longer than {MAX_LINE_BYTES} bytes")
    return np.array(array.to_pylist(), np.dtypes.StringDType())


def _opened(array: pa.Array, name: str, extent: int) -> pa.Array:
    """The values of lists that all have `extent` elements."""
    _refuse_gaps(array, name)
    if not pc.all(pc.equal(_lengths(array), extent)).as_py():
        raise unusable(name, DIFFERENT_LENGTHS, ONE_LENGTH)
    return array.flatten()


def _lengths(array: pa.Array) -> pa.Array:
    return pc.list_value_length(array)


def _refuse_gaps(array: pa.Array, name: str) -> None:
    if array.null_count:
        raise unusable(name, "has rows without a value", "Leave out samples that are not complete.")


def _is_list(found: pa.DataType) -> bool:
    return bool(pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found))


def _is_text(found: pa.DataType) -> bool:
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found))


def unusable(name: str, what: str, hint: str | None = None) -> ProblemFound:
    hint = hint or "Columns of numbers, of lists of numbers, and of texts are possible."
    return refuse("parquet_invalid", f"Column {quoted(name)} {what}.", entry=name, hint=hint)
