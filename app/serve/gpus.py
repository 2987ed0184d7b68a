"""Whether each job that is to run on a GPU can have one: asked before the tree starts. A worker asks for itself."""

import subprocess
import sys

from app.serve.refusal import Refusal

FINDER = "workers.sandbox.gpu"  # in a process of its own: nothing of the workers is imported here


def require_gpus(slots: int) -> None:
    """Raises `Refusal` with the line that a worker of so many slots would end with."""
    if not slots:
        return
    command = [sys.executable, "-m", FINDER, str(slots)]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        lines = ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"]
        raise Refusal(lines[-1])
