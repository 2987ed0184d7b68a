"""Where `lowbit serve` keeps everything: layout, permissions, secrets, and the lock against a second service."""

import fcntl
import json
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from app.serve.child import Identity
from app.serve.refusal import Refusal

MAX_SOCKET_PATH = 100
"""The kernel allows 107 bytes; Postgres appends `/.s.PGSQL.5432` to its directory."""


def default_data_directory() -> Path:
    """The user's data folder. Root's home is closed to the servers' user, so root gets the system's place."""
    return Path("/var/lib/lowbit") if os.geteuid() == 0 else Path(platformdirs.user_data_dir("lowbit"))


@dataclass(frozen=True)
class DataDirectory:
    root: Path

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def programs(self) -> Path:
        return self.root / "programs"

    @property
    def admin_key(self) -> Path:
        return self.root / "admin.key"

    def prepare(self, identity: Identity | None) -> None:
        """Make what is missing, closed to everybody else.

        The directory itself stays ours: the servers' user may pass through it to its own folders, and replace nothing.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        os.chown(self.root, os.geteuid(), identity.gid if identity else -1)
        self.root.chmod(0o710 if identity else 0o700)
        for directory in (self.objects, self.scratch, self.logs):
            _make(directory, mode=0o700)
        _make(self.programs, mode=0o755)  # read by the servers' user, who could enter no other way
        self.make_for_server(self.valkey, identity)

    def make_for_server(self, directory: Path, identity: Identity | None) -> None:
        """A folder that belongs to the servers' user. It lies in ours, so nobody can have put a link in its place."""
        _make(directory, mode=0o700)
        if identity is not None:
            os.chown(directory, identity.uid, identity.gid, follow_symlinks=False)

    def lock(self) -> int:
        """Hold the directory until the returned descriptor is closed, or this process ends in whatever way."""
        descriptor = os.open(self.root / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode().strip()
            os.close(descriptor)
            raise Refusal(f"{self.root} is in use by another `lowbit serve` (process {owner}).") from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor

    def is_in_use(self) -> bool:
        """Whether some process holds the lock. Raises OSError where that cannot be seen."""
        descriptor = os.open(self.root / "serve.lock", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def secret(self, name: str) -> str:
        """A random password, made on first use and kept in a file that only we can read."""
        path = self.root / f"{name}.secret"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32))
        return path.read_text().strip()


class SocketDirectory:
    """A short path for unix sockets: in the data directory, or in the temporary folder if that path is too long."""

    def __init__(self, data: DataDirectory, identity: Identity | None) -> None:
        inside = data.root / "run"
        shutil.rmtree(inside, ignore_errors=True)  # sockets of a service that was killed
        is_too_long = len(str(inside)) + len("/.s.PGSQL.5432") > MAX_SOCKET_PATH
        self.path = Path(tempfile.mkdtemp(prefix="lowbit-")) if is_too_long else inside
        data.make_for_server(self.path, identity)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def write_private(path: Path, text: str) -> None:
    """Write a file that appears whole and readable by us alone."""
    descriptor, staging = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
    Path(staging).replace(path)


def write_private_json(path: Path, value: object) -> None:
    write_private(path, json.dumps(value))


def _make(directory: Path, *, mode: int) -> None:
    directory.mkdir(exist_ok=True)
    directory.chmod(mode)
