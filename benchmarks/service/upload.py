"""One large upload beside a plain copy of the same file."""

import os
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.service.embedded import Embedded

FILE_BYTES = 4 * 2**30
CHUNK_BYTES = 4 * 2**20
SAMPLE_SECONDS = 0.02


@dataclass(frozen=True)
class UploadFigures:
    file_bytes: int
    upload_seconds: float
    copy_seconds: float
    rss_before_mb: float
    rss_highest_mb: float

    @property
    def rss_growth_mb(self) -> float:
        return self.rss_highest_mb - self.rss_before_mb

    @property
    def throughput_ratio(self) -> float:
        return self.copy_seconds / self.upload_seconds


def measure_upload(service: Embedded, folder: Path, *, file_bytes: int = FILE_BYTES) -> UploadFigures:
    """Copies before and after the upload are averaged: the disk of a shared machine has its moods."""
    source = folder / "large.npz"
    _write(source, file_bytes)
    size = source.stat().st_size
    with service.client() as client:
        first = _copy(source, folder / "copy")
        with _Watched(service.api().pid) as watched:
            started = time.monotonic()
            client.files.upload(source, "dataset")
            took = time.monotonic() - started
        second = _copy(source, folder / "copy")
    return UploadFigures(size, took, (first + second) / 2, watched.before_mb, watched.highest_mb)


def _write(path: Path, size: int) -> None:
    """One stored array of noise; written in pieces, since it need not fit into memory."""
    piece = np.random.default_rng(2).integers(0, 256, CHUNK_BYTES, dtype=np.uint8).tobytes()
    rows = size // CHUNK_BYTES
    header = {"descr": "|u1", "fortran_order": False, "shape": (rows, CHUNK_BYTES)}
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as entry,
    ):
        np.lib.format.write_array_header_1_0(entry, header)
        for _ in range(rows):
            entry.write(piece)


def _copy(source: Path, target: Path) -> float:
    """Seconds to read the file and write it, durably, as an upload is kept."""
    started = time.monotonic()
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(CHUNK_BYTES):
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    took = time.monotonic() - started
    target.unlink()
    return took


class _Watched:
    """The resident memory of a process over a time. Its own high-water mark would also know of what was before."""

    def __init__(self, pid: int) -> None:
        self._statm = Path(f"/proc/{pid}/statm")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.before_mb = self.highest_mb = self._now()

    def __enter__(self) -> "_Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self.highest_mb = max(self.highest_mb, self._now())

    def _now(self) -> float:
        return int(self._statm.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
