"""A Parquet file, decoded a few rows at a time: its footer is screened first, and every count in it is checked.

Whatever size a row group has, memory holds a page of each column. Texts stay in the dictionary that the file keeps
them in until their rows are handed out, so that a million rows of one long text take no more than that text.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from app.contracts.inspection import LeftOut
from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.data.parquet_columns import (
    DIFFERENT_LENGTHS,
    ONE_LENGTH,
    ColumnType,
    column_type,
    shape_of_one,
    text_bytes,
    to_numpy,
    unusable,
)
from workers.ingestion.data.row_table import numbers_bytes
from workers.ingestion.data.samples import Batch, SampleColumn
from workers.ingestion.data.table import (
    MAX_COLUMNS,
    MAX_NAME,
    TEXT,
    Piece,
    cut,
    pieces_of_rows,
    rows_at_a_time,
    usable_name,
)

_MAGIC = b"PAR1"
_TAIL_BYTES = 8
_MAX_FOOTER_BYTES = 16 << 20
_MAX_STRING_BYTES = 8 << 20  # of one string of the footer: frameworks keep their schema in it as JSON
_MAX_CONTAINER = 1 << 20  # elements of one list of the footer: row groups, columns
_BUFFER_BYTES = 1 << 20
_USUAL_TEXT_BYTES = 64 << 10
"""Assumed of a text, so that a batch of the longest ones still has a bearable size."""
_BOMB_RATIO = 200
_BOMB_FROM_BYTES = 64 << 20


@dataclass(frozen=True)
class ParquetTable:
    path: Path
    types: tuple[ColumnType, ...]
    shapes: tuple[tuple[int, ...], ...]
    num_samples: int
    max_unpacked_bytes: int | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def columns(self) -> tuple[SampleColumn, ...]:
        pairs = zip(self.types, self.shapes, strict=True)
        return tuple(SampleColumn(t.name, t.dtype, (self.num_samples, *shape)) for t, shape in pairs)

    @property
    def row_bytes(self) -> int:
        return numbers_bytes(self.columns) + _USUAL_TEXT_BYTES * sum(t.dtype == TEXT for t in self.types)

    def batches(self, rows: int, *, names: tuple[str, ...] | None = None, limit: int | None = None) -> Iterator[Batch]:
        left = self.num_samples if limit is None else min(limit, self.num_samples)
        for batch in cut(self._decoded(min(rows, rows_at_a_time(self.row_bytes)), names), rows):
            count = len(next(iter(batch.values())))
            yield {name: array[:left] for name, array in batch.items()}
            left -= count
            if left <= 0:
                return

    def pieces(self, *, chunk_bytes: int) -> Iterator[Piece]:  # noqa: ARG002  a batch is bounded already
        return pieces_of_rows(self)

    def place(self, row: int) -> str:
        return f"Row {row}"

    def only(self, names: Collection[str]) -> "ParquetTable":
        kept = [(t, shape) for t, shape in zip(self.types, self.shapes, strict=True) if t.name in names]
        return replace(self, types=tuple(t for t, _ in kept), shapes=tuple(shape for _, shape in kept))

    def _decoded(self, rows: int, names: tuple[str, ...] | None) -> Iterator[Batch]:
        """To the end, where the rows that came are compared with those declared."""
        wanted = [pair for pair in zip(self.types, self.shapes, strict=True) if names is None or pair[0].name in names]
        seen = texts = 0
        with _opened(self.path, dictionaries=[t.name for t in self.types if t.dtype == TEXT]) as file:
            for found in file.iter_batches(rows, columns=[t.name for t, _ in wanted], use_threads=False):
                found.validate(full=True)
                texts += sum(text_bytes(found.column(t.name)) for t, _ in wanted if t.dtype == TEXT)
                if self.max_unpacked_bytes is not None and texts > self.max_unpacked_bytes:
                    raise _too_large(texts, self.max_unpacked_bytes)
                yield {t.name: to_numpy(found.column(t.name), t, shape) for t, shape in wanted}
                seen += found.num_rows
        if seen != self.num_samples:
            raise _broken(f"The file declares {self.num_samples} rows and holds {seen}.")


def open_parquet(path: Path, *, max_unpacked_bytes: int | None = None) -> ParquetTable:
    """Read the footer and the first row. Raises ProblemFound."""
    _screen_footer(path)
    with _opened(path) as file:
        types = tuple(column_type(field) for field in file.schema_arrow)
        _check_names([t.name for t in types])
        samples = _declared_rows(file.metadata)
        shapes = _first_shapes(file, types)
        _check_counts(file.metadata, types, shapes)
    table = ParquetTable(path, types, shapes, samples, max_unpacked_bytes)
    unpacked = samples * numbers_bytes(table.columns)
    if max_unpacked_bytes is not None and unpacked > max_unpacked_bytes:
        raise _too_large(unpacked, max_unpacked_bytes)
    return table


@contextmanager
def _opened(path: Path, *, dictionaries: list[str] | None = None) -> Iterator[pq.ParquetFile]:
    """The file, with what Arrow may raise turned into a problem."""
    try:
        # through a handle of ours: messages about a path would repeat it
        with pa.OSFile(str(path)) as handle:
            yield pq.ParquetFile(
                handle,
                read_dictionary=dictionaries,
                pre_buffer=False,
                buffer_size=_BUFFER_BYTES,
                thrift_string_size_limit=_MAX_STRING_BYTES,
                thrift_container_size_limit=_MAX_CONTAINER,
                page_checksum_verification=True,
            )
    except OSError as error:
        if error.errno is not None:  # the disk's, not the file's
            raise
        raise _broken(f"The file cannot be read: {_reason(error)}.") from error
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise _broken(f"The file cannot be read: {_reason(error)}.") from error


def _screen_footer(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read(_TAIL_BYTES)
    footer = int.from_bytes(tail[:4], "little")
    if head != _MAGIC or tail[4:] != _MAGIC:
        raise _broken("The file does not begin and end as Parquet does; it may be cut off or encrypted.")
    if not 0 < footer <= min(size - _TAIL_BYTES - len(_MAGIC), _MAX_FOOTER_BYTES):
        raise _broken(f"The footer's length, {footer} bytes, is impossible or beyond {_MAX_FOOTER_BYTES}.")


def _check_names(names: list[str]) -> None:
    if not 0 < len(names) <= MAX_COLUMNS:
        raise _broken(f"The file has {len(names)} columns; 1 to {MAX_COLUMNS} are possible.")
    if len(set(names)) < len(names):
        raise _broken("Two columns have the same name.")
    for name, following in pairwise(sorted(names)):
        if following.startswith(f"{name}."):  # a reader takes both when it is asked for the first
            raise _broken(f"The names {quoted(name)} and {quoted(following)} cannot be told apart.")
    if not all(usable_name(name) for name in names):
        raise _broken(f"The name of a column is empty, longer than {MAX_NAME} characters or not printable.")


def _declared_rows(footer: pq.FileMetaData) -> int:
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    rows = sum(group.num_rows for group in groups)
    if rows != footer.num_rows or any(group.num_rows < 0 for group in groups):
        raise _broken(f"The file declares {footer.num_rows} rows, and its row groups {rows}.")
    if rows == 0:
        raise refuse("calibration_empty", "The file holds no rows.")
    return int(rows)


def _first_shapes(file: pq.ParquetFile, types: tuple[ColumnType, ...]) -> tuple[tuple[int, ...], ...]:
    first = next(file.iter_batches(1, use_threads=False), None)
    if first is None or first.num_rows != 1:
        raise _broken("The file declares rows and holds none.")
    first.validate(full=True)
    return tuple(shape_of_one(first.column(t.name), t) for t in types)


def _check_counts(footer: pq.FileMetaData, types: tuple[ColumnType, ...], shapes: tuple[tuple[int, ...], ...]) -> None:
    """Every column chunk declares as many values as its rows take; none lies in another file or is a bomb."""
    packed, unpacked = Counter[str](), Counter[str]()
    for group in (footer.row_group(i) for i in range(footer.num_row_groups)):
        if group.num_columns != len(types):
            raise _broken("A row group lacks a column.")
        for index, (column, shape) in enumerate(zip(types, shapes, strict=True)):
            chunk = group.column(index)
            if chunk.file_path:
                raise _broken("A column lies in another file.")
            if chunk.num_values != group.num_rows * math.prod(shape):
                raise _uncounted(column, chunk.num_values, group.num_rows)
            packed[column.name] += chunk.total_compressed_size
            unpacked[column.name] += chunk.total_uncompressed_size
    for name, size in unpacked.items():
        if size > _BOMB_FROM_BYTES and size > _BOMB_RATIO * max(packed[name], 1):
            detail = f"A column of {packed[name]} bytes unpacks to more than {_BOMB_RATIO} times its size."
            raise refuse("archive_bomb", detail, entry=name)


def _uncounted(column: ColumnType, values: int, rows: int) -> ProblemFound:
    if column.depth:
        return unusable(column.name, DIFFERENT_LENGTHS, ONE_LENGTH)
    return _broken(f"{quoted(column.name)} declares {values} values in {rows} rows.")


def _too_large(found: int, limit: int) -> ProblemFound:
    return refuse("calibration_too_large", f"The columns take {found} bytes unpacked; the limit is {limit}.")


def _broken(detail: str) -> ProblemFound:
    return refuse("parquet_invalid", detail)


def _reason(error: Exception) -> str:
    return quoted((str(error).splitlines() or ["damaged"])[0]).rstrip(".")
