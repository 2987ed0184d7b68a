"""Under what conditions figures were measured."""

import os
import platform
from datetime import UTC, datetime
from importlib import metadata

import psutil

from benchmarks.child import ADDRESS_SPACE_BYTES
from benchmarks.results import Conditions
from workers.protocol.processor import cpu_has_vnni, cpu_model

_PACKAGES = ("lowbit-server", "onnxruntime", "onnx", "onnx-ir", "numpy", "rapidocr", "magika", "pillow")


def threads() -> int:
    """As many as ONNX Runtime takes when it is not told: one for each physical core."""
    return psutil.cpu_count(logical=False) or 1


def conditions() -> Conditions:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu_model(),
        "cpu_has_vnni": cpu_has_vnni(),
        "threads": threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "address_space_limit_gib": ADDRESS_SPACE_BYTES / 2**30,
        "load_average_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in _PACKAGES},
    }
