"""A folder with Lowbit's source, installed into its own virtual environment."""

import subprocess
from pathlib import Path

_WHERE = "from importlib.util import find_spec; [print(find_spec(p).origin) for p in ('app', 'workers', 'lowbit')]"


class NotInstalled(Exception):
    """The folder cannot be run as it stands; the message says what to do."""


def checked(folder: Path) -> Path:
    """The folder's absolute path. Raises NotInstalled where its environment is missing or runs the code of another."""
    folder = folder.resolve()
    python, lowbit = (folder / ".venv" / "bin" / name for name in ("python", "lowbit"))
    if not (python.exists() and lowbit.exists()):
        raise NotInstalled(f"{folder} has no .venv/bin/lowbit. Run `make install` there first.")
    found = subprocess.run([python, "-P", "-c", _WHERE], cwd=folder, capture_output=True, text=True, check=True)
    elsewhere = [path for path in found.stdout.splitlines() if not Path(path).is_relative_to(folder)]
    if elsewhere:
        raise NotInstalled(f"The .venv of {folder} runs {elsewhere[0]}. Run `make clean install` there.")
    return folder
