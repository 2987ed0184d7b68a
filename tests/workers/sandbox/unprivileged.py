"""Runs a script as an ordinary user, also where the tests run as root and Python lies below root's own folder."""

import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

USER = "nobody"
ROOT = Path(__file__).parents[3]


def output_as_nobody(script: str) -> str:
    """What it prints. It runs in an empty folder of the user's own."""
    if os.geteuid() != 0:
        with tempfile.TemporaryDirectory() as folder:
            return _printed([sys.executable, "-c", script], Path(folder))
    identity = pwd.getpwnam(USER)
    folder = Path(tempfile.mkdtemp(prefix="lowbit-nobody-"))
    try:
        os.chown(folder, identity.pw_uid, identity.pw_gid)
        become = f"setpriv --reuid={identity.pw_uid} --regid={identity.pw_gid} --clear-groups"
        shell = [*_opened(folder), f"cd {folder}", f"exec {become} {shlex.join([sys.executable, '-c', script])}"]
        return _printed(["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(shell)], folder)
    finally:
        shutil.rmtree(folder)


def _opened(folder: Path) -> list[str]:
    """Commands that show, in a mount namespace, Python's folders to everybody and nothing else of a closed one."""
    needed = sorted({Path(sys.base_prefix), Path(sys.prefix), ROOT})
    within = [path for path in needed if _closed_above(path) and not any(other in path.parents for other in needed)]
    commands = [f"mkdir {folder}/{n} && mount --bind {path} {folder}/{n}" for n, path in enumerate(within)]
    commands += [f"mount -t tmpfs -o mode=755 none {closed}" for closed in sorted({_closed_above(p) for p in within})]
    commands += [f"mkdir -p {path} && mount --bind {folder}/{n} {path}" for n, path in enumerate(within)]
    return commands


def _closed_above(path: Path) -> str:
    """The outermost folder on the way that others cannot enter; empty if there is none."""
    return next((str(f) for f in reversed(path.parents) if not f.stat().st_mode & stat.S_IXOTH), "")


def _printed(command: list[str], folder: Path) -> str:
    told = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}
    ran = subprocess.run(command, capture_output=True, text=True, env=told, cwd=folder, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
