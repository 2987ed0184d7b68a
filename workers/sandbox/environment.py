"""What a job's process finds in its environment."""

import os
from pathlib import Path

KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


def job_environment(scratch: Path, *, visible_devices: str = "") -> dict[str, str]:
    """Nothing of the worker's own: the process is told no address and no secret.

    `visible_devices` are the GPUs that CUDA finds: none, unless they are named.
    """
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        **kept,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": visible_devices,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # as they are counted here
        "PYTHONSAFEPATH": "1",  # no file in the scratch folder is taken for a module
        "PYTHONDONTWRITEBYTECODE": "1",
    }
