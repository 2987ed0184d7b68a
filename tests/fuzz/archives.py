"""Any bytes as an archive: a problem with a code, or the files that Python's own readers find in it."""

import stat
import tempfile
from pathlib import Path

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.archives.reference import CODES, read_by_python
from workers.ingestion.archives import ArchiveLimits, open_archive

_LIMITS = ArchiveLimits(max_unpacked_bytes=4 << 20, max_entries=100, ratio_from_bytes=1 << 20)


def one_input(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        packed, folder = Path(scratch, "packed"), Path(scratch, "out")
        packed.write_bytes(data)
        folder.mkdir()
        code = _extract(packed, folder)
        assert code in CODES if code else _files_in(folder) == read_by_python(data)
        assert {path.name for path in Path(scratch).iterdir()} == {"out", "packed"}


def _extract(packed: Path, folder: Path) -> str | None:
    try:
        with open_archive(packed, _LIMITS) as archive:
            archive.extract_all(folder)
    except ProblemFound as found:
        return found.problem.code
    return None


def _files_in(folder: Path) -> dict[str, bytes]:
    files = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        assert mode in {stat.S_IFREG | 0o600, stat.S_IFDIR | 0o700}
        if stat.S_ISREG(mode):
            files[path.relative_to(folder).as_posix()] = path.read_bytes()
    return files


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("archives", instrument=["workers.ingestion.archives"])
