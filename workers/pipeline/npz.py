"""Reading an npz archive that a stranger sent, row by row, without believing what it says about itself.

numpy.load would unpickle, trust declared sizes and hold whole arrays. Here every member is a stream, every byte that
comes out of the decompressor is counted, and rows of all columns advance in lock step, so that memory holds one batch.
"""

import errno
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from app.contracts.problem import quoted, refuse
from workers.pipeline.npy_header import read_header

Batch = dict[str, npt.NDArray[np.generic]]

LABELS = "labels"

_MAX_COLUMNS = 256
_BOMB_RATIO = 200
_BOMB_FROM_BYTES = 64 << 20  # an honest array of zeros shrinks a thousandfold, but it is not worth refusing when small
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1


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


@dataclass(frozen=True)
class Archive:
    path: Path
    columns: tuple[Column, ...]
    num_samples: int

    def column(self, name: str) -> Column | None:
        return next((c for c in self.columns if c.name == name), None)


def open_archive(path: Path, *, max_unpacked_bytes: int | None = None) -> Archive:
    """Read the directory and every header. Raises ProblemFound for whatever numpy.savez would not have written."""
    with unzipping(path) as archive:
        entries = archive.infolist()
        if not entries:
            raise refuse("calibration_empty", "The archive holds no arrays.")
        if len(entries) > _MAX_COLUMNS:
            raise refuse(
                "archive_unsupported", f"The archive holds {len(entries)} entries; {_MAX_COLUMNS} is the limit."
            )
        _refuse_duplicates(entries)
        columns = tuple(_read_column(archive, e) for e in entries)
    _check_size(columns, max_unpacked_bytes)
    return Archive(path, columns, _common_length(columns))


def read_batches(
    archive: Archive, rows: int, *, names: tuple[str, ...] | None = None, limit: int | None = None
) -> Iterator[Batch]:
    """Batches of up to `rows` samples of the named columns, in the order of the file; at most `limit` samples."""
    columns = [c for c in archive.columns if names is None or c.name in names]
    left = archive.num_samples if limit is None else min(limit, archive.num_samples)
    with ExitStack() as stack:
        opened = stack.enter_context(unzipping(archive.path))
        streams = [(c, stack.enter_context(_array_stream(opened, c))) for c in columns]
        while left > 0:
            count = min(rows, left)
            yield {c.name: _read_rows(stream, c, count) for c, stream in streams}
            left -= count


def read_chunks(archive: Archive, column: Column, *, chunk_bytes: int) -> Iterator[npt.NDArray[np.generic]]:
    """The elements of one column as flat pieces: memory stays flat however long a row is. Checks the CRC at the end."""
    elements = max(1, chunk_bytes // column.dtype.itemsize)
    left = int(np.prod(column.shape, dtype=object))
    with unzipping(archive.path) as opened, _array_stream(opened, column) as stream:
        while left > 0:
            count = min(elements, left)
            yield _to_native(_read_exactly(stream, column, count * column.dtype.itemsize), column)
            left -= count
        if stream.read(1):  # reading to the end is also what compares the CRC
            raise refuse("npz_invalid", "An array is followed by bytes that do not belong to it.", entry=column.name)


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
        raise refuse("archive_unsupported", f"The archive cannot be read: {quoted(str(error))}.") from error


@contextmanager
def _array_stream(archive: zipfile.ZipFile, column: Column) -> Iterator[IO[bytes]]:
    """The member, positioned at its first element."""
    with archive.open(column.entry) as raw:
        stream = _CountedStream(raw, column.entry)
        read_header(stream, column.name)
        yield stream  # type: ignore[misc]  # RawIOBase is no IO[bytes] to the type checker


def _refuse_duplicates(entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.filename in seen:
            raise refuse("npz_invalid", "Two arrays have the same name.", entry=entry.filename)
        seen.add(entry.filename)


def _read_column(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Column:
    name = entry.filename.removesuffix(".npy")
    if not entry.filename.endswith(".npy") or not name or not name.isprintable() or len(name) > 512:
        raise refuse("npz_invalid", "An entry is not an array: its name does not end in .npy.", entry=entry.filename)
    if entry.flag_bits & _ENCRYPTED:
        raise refuse("archive_unsupported", "An entry is encrypted.", entry=name)
    if entry.compress_type not in _METHODS:
        raise refuse("archive_unsupported", "An entry is compressed by a method other than deflate.", entry=name)
    with archive.open(entry) as stream:
        dtype, shape = read_header(_CountedStream(stream, entry), name)
    return Column(name, entry, dtype, shape)


def _check_size(columns: tuple[Column, ...], max_unpacked_bytes: int | None) -> None:
    unpacked = sum(c.row_bytes * c.shape[0] for c in columns)
    if max_unpacked_bytes is not None and unpacked > max_unpacked_bytes:
        raise refuse(
            "calibration_too_large", f"The arrays take {unpacked} bytes unpacked; the limit is {max_unpacked_bytes}."
        )


def _common_length(columns: tuple[Column, ...]) -> int:
    data = [c for c in columns if c.name != LABELS] or list(columns)
    for column in data:
        if column.shape[0] != data[0].shape[0]:
            raise refuse(
                "calibration_shape_mismatch",
                f"It has {column.shape[0]} samples where {quoted(data[0].name)} has {data[0].shape[0]}.",
                entry=column.name,
            )
    labels = next((c for c in columns if c.name == LABELS), None)
    if labels is not None and labels.shape[0] != data[0].shape[0]:
        raise refuse(
            "labels_length_mismatch",
            f"There are {labels.shape[0]} labels for {data[0].shape[0]} samples.",
            entry=LABELS,
        )
    if data[0].shape[0] == 0 or any(c.row_bytes == 0 for c in columns):
        raise refuse("calibration_empty", "An array holds no elements.", entry=data[0].name)
    return data[0].shape[0]


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
