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
    """Commands that show, in a mount namespace, Python's folder to everybody and nothing else of a closed one."""
    python = Path(sys.base_prefix)
    closed = [folder for folder in reversed(python.parents) if not folder.stat().st_mode & stat.S_IXOTH]
    if not closed:
        return []
    return [
        f"mkdir {folder}/python",
        f"mount --bind {python} {folder}/python",
        f"mount -t tmpfs -o mode=755 none {closed[0]}",
        f"mkdir -p {python}",
        f"mount --bind {folder}/python {python}",
    ]


def _printed(command: list[str], folder: Path) -> str:
    told = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}
    ran = subprocess.run(command, capture_output=True, text=True, env=told, cwd=folder, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
