"""A directory that only the service's own user may read (directories 0700, files 0600), where files appear whole.

A link appears in one step and fails where the name is taken, so a complete, synced staging file that is linked into
place is what a conditional upload is on S3.
"""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from app.storage.errors import ObjectMissing, StorageError, StoreUnavailable


class PrivateFolder:
    """`root`, which is made if need be, with a folder for unfinished files. Its file system must know hard links."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.staging = root / "staging"
        self.uploads = self.staging / "uploads"
        with self.errors():
            make_private_directory(self.staging)

    @contextmanager
    def errors(self, missing: type[StorageError] = ObjectMissing) -> Iterator[None]:
        """Say in our own words what the disk refused. Nothing is `missing` when its disk is not mounted."""
        try:
            yield
        except FileNotFoundError as error:
            if self.staging.is_dir():
                raise missing(f"not in the store: {error.filename}") from error
            raise StoreUnavailable(f"the storage directory {self.root} is not there: is its disk mounted?") from error
        except OSError as error:
            raise StoreUnavailable(f"the storage directory {self.root} cannot be used: {error.strerror}") from error

    @contextmanager
    def staging_file(self) -> Iterator["StagingFile"]:
        """An empty file to write to. Its name is gone when the block ends."""
        with self.errors():
            descriptor, name = tempfile.mkstemp(dir=self.staging)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                yield StagingFile(self, file, Path(name))
        finally:
            with suppress(OSError):
                Path(name).unlink()

    def publish(self, target: Path, chunks: Iterable[bytes]) -> None:
        """Make `target` of the chunks, unless it is there. Reading them is the caller's: its errors pass unchanged."""
        with self.staging_file() as staged:
            for chunk in chunks:
                staged.write(chunk)
            staged.sync()
            with self.errors():
                _link_into_place(staged.path, target)

    def renew(self, path: Path) -> int | None:
        """Make the file young; its bytes, or None where there is none."""
        try:
            with self.errors():
                os.utime(path)
                return path.stat().st_size
        except ObjectMissing:
            return None

    def remove_older(self, path: Path, older_than_seconds: float) -> bool:
        """Remove the file unless it is younger.

        It is taken out of sight before its age counts: who renewed it until then is seen by that, and who comes later
        finds nothing and stores it anew.
        """
        taken = self.staging / f"taken-{secrets.token_hex(16)}"
        with self.errors():
            if age_seconds(path) < older_than_seconds:
                return False
            path.rename(taken)
            is_old = age_seconds(taken) >= older_than_seconds
            if is_old:
                taken.unlink()
            else:
                taken.rename(path)  # over a new copy, at most, of the same bytes
            sync_directory(path.parent)
        return is_old

    def remove_tree(self, directory: Path) -> None:
        """Gone in one step for everybody else; nothing happens where nothing is."""
        discarded = self.staging / f"discarded-{secrets.token_hex(16)}"
        with suppress(ObjectMissing), self.errors():
            directory.rename(discarded)
            sync_directory(directory.parent)
            shutil.rmtree(discarded)

    def discard_abandoned(self, older_than_seconds: float) -> None:
        """Remove staging files that nobody has written to for so long, and trees that were to be removed."""
        with self.errors():
            for path in self.staging.iterdir():
                with suppress(FileNotFoundError):
                    if path != self.uploads and age_seconds(path) > older_than_seconds:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()


class StagingFile:
    """A file that nobody knows yet."""

    def __init__(self, folder: PrivateFolder, file: BinaryIO, path: Path) -> None:
        self._folder = folder
        self._file = file
        self.path = path

    def write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            with self._folder.errors():
                rest = rest[self._file.write(rest) :]

    def sync(self) -> None:
        with self._folder.errors():
            os.fsync(self._file.fileno())


def age_seconds(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def make_private_directory(directory: Path) -> None:
    """Like `mkdir -p` with mode 0700 for each new level, each of them on disk before it is used."""
    if directory.is_dir():
        return
    make_private_directory(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link_into_place(staged: Path, target: Path) -> None:
    """Whoever comes second finds the name taken, by the same bytes: only verified ones get this far."""
    make_private_directory(target.parent)
    while not _linked_or_renewed(staged, target):
        pass  # it was there, and was removed before it could be renewed
    sync_directory(target.parent)


def _linked_or_renewed(staged: Path, target: Path) -> bool:
    try:
        target.hardlink_to(staged)
    except FileExistsError:
        with suppress(FileNotFoundError):
            os.utime(target)
            return True
        return False
    return True
