"""One large upload beside a plain copy of the same file.

An upload is timed from its first request to the answer that it is completed: every byte has been acknowledged and is
durable, as those of the copy are. The verification that follows is timed by itself.
"""

import hashlib
import os
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lowbit.discovery import Connection
from lowbit.resumable import ResumableUpload
from lowbit.upload_memory import UploadMemory
from lowbit.uploads import UploadProgress, Uploads
from lowbit.wire import Wire

from benchmarks.service import lean_client
from benchmarks.service.embedded import Embedded

FILE_BYTES = 4 * 2**30
CHUNK_BYTES = 4 * 2**20
SAMPLE_SECONDS = 0.02
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class UploadFigures:
    file_bytes: int
    part_bytes: int
    upload_seconds: float
    """Of a client that knows the sha256 of the file and costs next to nothing."""
    client_upload_seconds: float
    """Of the Python client, which hashes the file while it sends it."""
    verification_seconds: float
    copies_seconds: tuple[float, float, float]
    """Before the upload, between the two, after the client's."""
    rss_before_mb: float
    rss_highest_mb: float
    api_cpu_seconds: float
    """Of the API process, during the lean client's upload."""
    load_averages: tuple[float, float, float]
    """Over a minute, when each copy began."""

    @property
    def rss_growth_mb(self) -> float:
        return self.rss_highest_mb - self.rss_before_mb

    @property
    def throughput_ratio(self) -> float:
        before, between, _ = self.copies_seconds
        return (before + between) / 2 / self.upload_seconds

    @property
    def client_throughput_ratio(self) -> float:
        _, between, after = self.copies_seconds
        return (between + after) / 2 / self.client_upload_seconds


def measure_upload(service: Embedded, folder: Path, *, file_bytes: int = FILE_BYTES) -> UploadFigures:
    """Each upload is held against the copies before and after it: the disk of a shared machine has its moods."""
    source = folder / "large.npz"
    _write(source, file_bytes)
    with source.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    uploads = _NotedUploads(Wire(Connection(service.url, service.key), timeout_seconds=PATIENCE_SECONDS))
    loads, copies = [os.getloadavg()[0]], [_copy(source, folder / "copy")]
    with _Watched(service.api().pid) as watched:
        cpu_before, started = _cpu_seconds(service), time.monotonic()
        completed = lean_client.upload(service, uploads, source, sha256)
        took = time.monotonic() - started
        cpu = _cpu_seconds(service) - cpu_before
    _require_completed(uploads.verified(completed["id"]))
    verification = time.monotonic() - started - took
    loads.append(os.getloadavg()[0])
    copies.append(_copy(source, folder / "copy"))
    started = time.monotonic()
    ResumableUpload(uploads, source, "dataset", memory=UploadMemory(folder / "client")).run()
    client_took = uploads.waiting_since - started
    loads.append(os.getloadavg()[0])
    copies.append(_copy(source, folder / "copy"))
    return UploadFigures(
        file_bytes=source.stat().st_size,
        part_bytes=completed["part_bytes"],
        upload_seconds=took,
        client_upload_seconds=client_took,
        verification_seconds=verification,
        copies_seconds=(copies[0], copies[1], copies[2]),
        rss_before_mb=watched.before_mb,
        rss_highest_mb=watched.highest_mb,
        api_cpu_seconds=cpu,
        load_averages=(loads[0], loads[1], loads[2]),
    )


class _NotedUploads(Uploads):
    """Notes when a client begins to wait for the verdict, which is when its upload is completed."""

    waiting_since = 0.0

    def verified(self, upload_id: str) -> UploadProgress:
        self.waiting_since = time.monotonic()
        return super().verified(upload_id)


def _require_completed(upload: UploadProgress) -> None:
    if upload["status"] != "completed":
        raise RuntimeError(f"the upload is {upload['status']}: {upload['problem']}")


def _cpu_seconds(service: Embedded) -> float:
    times = service.api().cpu_times()
    return float(times.user + times.system)


def _write(path: Path, size: int) -> None:
    """One stored array of noise, written in pieces, since it need not fit into memory, and all of it on the disk: what
    is measured next would have to wait for it.
    """
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
    with path.open("rb") as written:
        os.fsync(written.fileno())


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
