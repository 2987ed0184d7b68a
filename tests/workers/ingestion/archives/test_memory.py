"""How much memory archives cost that want a lot of it: measured in a process of its own, as the kernel counts it."""

import io
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

from tests.workers.ingestion.archives.building import Member, block, gzip_of_zeros, raw_zip, zeros

READ_ALL = """
import sys
from pathlib import Path
from app.contracts.problem import ProblemFound
from workers.ingestion.archives import ArchiveLimits, open_archive
for path in sys.argv[1:]:
    try:
        with open_archive(Path(path), ArchiveLimits(max_ratio=10**6)) as archive:
            print(sum(len(piece) for entry in archive.entries for piece in archive.pieces(entry)))
    except ProblemFound as found:
        print(found.problem.code)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak.split()[1])
"""


def zip_that_is_large() -> bytes:
    crc = 0
    for _ in range(160):
        crc = zlib.crc32(bytes(1 << 20), crc)
    lies = {"method": 8, "size": 160 << 20, "crc": crc}
    return raw_zip(Member(b"zeros", zeros(160), local=lies, central=lies))


def tar_that_is_large() -> bytes:
    return gzip_of_zeros(block("zeros", size=(160 << 20) - 1024), 160)


def names_without_end() -> bytes:
    """4,000 files, each in 30 folders of its own: 120,000 folders."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for number in range(4_000):
            out.writestr("/".join(f"{number:05}{level}" for level in range(31)), b"")
    return buffer.getvalue()


def test_memory_stays_flat(tmp_path: Path) -> None:
    """The interpreter and pydantic take some 40 MiB of it, 100,000 names another 40."""
    archives = {"zip": zip_that_is_large(), "tar.gz": tar_that_is_large(), "names": names_without_end()}
    for name, data in archives.items():
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, *archives], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    *told, peak_kib = done.stdout.split()
    assert told == [str(160 << 20), str((160 << 20) - 1024), "archive_too_many_entries"]
    assert int(peak_kib) < 128 << 10
