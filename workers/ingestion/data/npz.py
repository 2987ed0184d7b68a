"""Reading an npz archive that a stranger sent, row by row, without believing what it says about itself.

numpy.load would unpickle, trust declared sizes and hold whole arrays. Here every member is a stream, every byte that
comes out of the decompressor is counted, and rows of all columns advance in lock step, so that memory holds one batch.
"""

import errno
import io
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from app.contracts.inspection import LeftOut
from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.data.npy_header import NO_SAMPLES, read_header
from workers.ingestion.data.samples import LABELS, Batch, SampleColumn
from workers.ingestion.data.table import MAX_COLUMNS, Piece, common_length, left_out, refuse_unusable

_BOMB_RATIO = 200
_BOMB_FROM_BYTES = 64 << 20  # an honest array of zeros shrinks a thousandfold, but it is not worth refusing when small
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1
_BEGINNINGS = frozenset({b"PK\x03\x04", b"PK\x05\x06"})  # the second is that of an archive without entries
_HINT = "Use numpy.savez."


@dataclass(frozen=True)
class Column:
    """One array: its place in the archive and what its header declares."""

    name: str
    entry: zipfile.ZipInfo
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=object)) * self.dtype.itemsize

    @property
    def sample_column(self) -> SampleColumn:
        return SampleColumn(self.name, self.dtype.newbyteorder("=").name, self.shape)


@dataclass(frozen=True)
class Archive:
    path: Path
    arrays: tuple[Column, ...]
    num_samples: int
    left_out: tuple[LeftOut, ...] = ()

    @property
    def columns(self) -> tuple[SampleColumn, ...]:
        return tuple(c.sample_column for c in self.arrays)

    @property
    def row_bytes(self) -> int:
        return sum(c.row_bytes for c in self.arrays)

    def batches(self, rows: int, *, names: tuple[str, ...] | None = None, limit: int | None = None) -> Iterator[Batch]:
        arrays = [c for c in self.arrays if (c.shape[0] == self.num_samples if names is None else c.name in names)]
        left = self.num_samples if limit is None else min(limit, self.num_samples)
        with ExitStack() as stack:
            opened = stack.enter_context(unzipping(self.path))
            streams = [(c, stack.enter_context(_array_stream(opened, c))) for c in arrays]
            while left > 0:
                count = min(rows, left)
                yield {c.name: _read_rows(stream, c, count) for c, stream in streams}
                left -= count

    def pieces(self, *, chunk_bytes: int) -> Iterator[Piece]:
        """Array by array: memory stays flat however long a row is. The end of each compares its CRC."""
        for column in self.arrays:
            yield from _read_pieces(self.path, column, chunk_bytes)

    def place(self, row: int) -> str:
        return f"Sample {row}"

    def only(self, names: Collection[str]) -> "Archive":
        arrays = tuple(c for c in self.arrays if c.name in names)
        return replace(self, arrays=arrays, num_samples=common_length([c.sample_column for c in arrays]))


def open_archive(path: Path, *, max_unpacked_bytes: int | None = None) -> Archive:
    """Read the directory and every header. Raises ProblemFound for whatever numpy.savez would not have written."""
    _refuse_other_beginnings(path)
    with unzipping(path) as archive:
        entries = archive.infolist()
        if not entries:
            raise refuse("calibration_empty", "The archive holds no arrays.")
        if len(entries) > MAX_COLUMNS:
            raise refuse(
                "archive_unsupported",
                f"The archive holds {len(entries)} entries; {MAX_COLUMNS} is the limit.",
                hint=_HINT,
            )
        _refuse_duplicates(entries)
        columns, others = _read_columns(archive, entries)
    _check_size(columns, max_unpacked_bytes)
    return Archive(path, columns, common_length([c.sample_column for c in columns]), others)


class _CountedStream(io.RawIOBase):
    """Counts what really comes out of the decompressor and stops a bomb while it goes off."""

    def __init__(self, stream: IO[bytes], entry: zipfile.ZipInfo) -> None:
        self._stream = stream
        self._entry = entry
        self._unpacked = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._unpacked += len(data)
        packed = max(self._entry.compress_size, 1)
        if self._unpacked > _BOMB_FROM_BYTES and self._unpacked > _BOMB_RATIO * packed:
            raise refuse(
                "archive_bomb",
                f"An entry of {packed} bytes unpacks to more than {_BOMB_RATIO} times its size.",
                entry=self._entry.filename,
            )
        return data


@contextmanager
def unzipping(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, with what the zip reader may raise turned into a problem."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, UnicodeDecodeError) as error:
        raise refuse("npz_invalid", f"The archive cannot be read: {quoted(str(error))}.") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a damaged directory sends the reader to an offset before the file
            raise
        raise refuse("npz_invalid", "The archive's directory points outside of it.") from error
    except (NotImplementedError, RuntimeError) as error:
        raise refuse("archive_unsupported", f"The archive cannot be read: {quoted(str(error))}.", hint=_HINT) from error


@contextmanager
def _array_stream(archive: zipfile.ZipFile, column: Column) -> Iterator[IO[bytes]]:
    """The member, positioned at its first element."""
    with archive.open(column.entry) as raw:
        stream = _CountedStream(raw, column.entry)
        read_header(stream, column.name)
        yield stream  # type: ignore[misc]  # RawIOBase is no IO[bytes] to the type checker


def _refuse_other_beginnings(path: Path) -> None:
    """A zip is read from its end, so that another kind of file can stand before it; numpy would read that one."""
    with path.open("rb") as file:
        if file.read(4) not in _BEGINNINGS:
            raise refuse("npz_invalid", "The file does not begin like a zip archive.")


def _refuse_duplicates(entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.filename in seen:
            raise refuse("npz_invalid", "Two arrays have the same name.", entry=entry.filename)
        seen.add(entry.filename)


def _read_columns(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]
) -> tuple[tuple[Column, ...], tuple[LeftOut, ...]]:
    """Those that can be samples, and what people keep beside them, of which only the header was read."""
    columns: list[Column] = []
    refused: dict[str, ProblemFound] = {}
    for entry in entries:
        try:
            columns.append(_read_column(archive, entry))
        except ProblemFound as found:
            name = entry.filename.removesuffix(".npy")
            if found.problem.code not in NO_SAMPLES or name == LABELS:
                raise
            refused[name] = found
    refuse_unusable([c.name for c in columns], list(refused.values()))
    return tuple(columns), tuple(left_out(name, found) for name, found in refused.items())


def _read_column(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Column:
    name = entry.filename.removesuffix(".npy")
    if not entry.filename.endswith(".npy") or not name or not name.isprintable() or len(name) > 512:
        raise refuse("npz_invalid", "An entry is not an array: its name does not end in .npy.", entry=entry.filename)
    if entry.flag_bits & _ENCRYPTED:
        raise refuse("archive_unsupported", "An entry is encrypted.", entry=name, hint=_HINT)
    if entry.compress_type not in _METHODS:
        raise refuse(
            "archive_unsupported", "An entry is compressed by a method other than deflate.", entry=name, hint=_HINT
        )
    with archive.open(entry) as stream:
        dtype, shape = read_header(_CountedStream(stream, entry), name)
    if 0 in shape:
        raise refuse("calibration_empty", "An array holds no elements.", entry=name)
    return Column(name, entry, dtype, shape)


def _check_size(columns: tuple[Column, ...], max_unpacked_bytes: int | None) -> None:
    unpacked = sum(c.row_bytes * c.shape[0] for c in columns)
    if max_unpacked_bytes is not None and unpacked > max_unpacked_bytes:
        raise refuse(
            "calibration_too_large", f"The arrays take {unpacked} bytes unpacked; the limit is {max_unpacked_bytes}."
        )


def _read_pieces(path: Path, column: Column, chunk_bytes: int) -> Iterator[Piece]:
    elements = max(1, chunk_bytes // column.dtype.itemsize)
    done, total = 0, int(np.prod(column.shape, dtype=object))
    with unzipping(path) as opened, _array_stream(opened, column) as stream:
        while done < total:
            count = min(elements, total - done)
            values = _to_native(_read_exactly(stream, column, count * column.dtype.itemsize), column)
            yield Piece(column.name, done, values)
            done += count
        if stream.read(1):  # reading to the end is also what compares the CRC
            raise refuse("npz_invalid", "An array is followed by bytes that do not belong to it.", entry=column.name)


def _read_rows(stream: IO[bytes], column: Column, rows: int) -> npt.NDArray[np.generic]:
    flat = _to_native(_read_exactly(stream, column, rows * column.row_bytes), column)
    return flat.reshape(rows, *column.shape[1:])


def _read_exactly(stream: IO[bytes], column: Column, size: int) -> bytes:
    pieces = []
    while size > 0:
        piece = stream.read(size)
        if not piece:
            raise refuse("npz_invalid", "An array ends before its declared shape is filled.", entry=column.name)
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _to_native(data: bytes, column: Column) -> npt.NDArray[np.generic]:
    array = np.frombuffer(data, column.dtype)
    return array.astype(column.dtype.newbyteorder("="), copy=False)
