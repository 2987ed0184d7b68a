"""What a job's process finds in its environment."""

import os
from pathlib import Path

KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


def job_environment(scratch: Path) -> dict[str, str]:
    """Nothing of the worker's own: the process is told no address and no secret."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        **kept,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "HF_HUB_OFFLINE": "1",
        "PYTHONSAFEPATH": "1",  # no file in the scratch folder is taken for a module
        "PYTHONDONTWRITEBYTECODE": "1",
    }
