"""The virtual environment of the peers: what they pin must not decide what Lowbit runs with."""

import subprocess
import venv
from pathlib import Path

from benchmarks.processes import ROOT

CONSTRAINTS = ROOT / "benchmarks" / "peers" / "nncf.txt"

_INSTALLED = "installed.txt"


def nncf_version() -> str:
    pins = (line.partition("==") for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines())
    return next(version for name, _, version in pins if name == "nncf")


def python_with_peers(cache: Path) -> Path:
    """Its interpreter. The environment is made when it is missing, and again when the pinned set has changed."""
    folder = cache / "peers"
    pinned = CONSTRAINTS.read_text(encoding="utf-8")
    installed = folder / _INSTALLED
    if not installed.exists() or installed.read_text(encoding="utf-8") != pinned:
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", "--requirement", CONSTRAINTS], check=True)
        installed.write_text(pinned, encoding="utf-8")
    return folder / "bin" / "python"
