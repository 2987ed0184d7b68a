"""The inside of a measured process: limits, the clock, and the answer."""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.assignment import MEASURED_FILE, Quantization

ADDRESS_SPACE_BYTES = 12 << 30
"""Enough for a server of 16 GB; a job that needs more would take the machine with it."""

_CPU_SECONDS = 600


@dataclass(frozen=True)
class Measured:
    wall_seconds: float
    """From the paths of the model and the data to the written models; imports are over by then."""
    floor_rss_mib: float
    """Peak memory before the work began: the interpreter and the libraries."""
    files: dict[str, str]
    """Paths of the models by what distinguishes them."""


def measure(work: Callable[[Quantization], dict[str, Path]]) -> None:
    """Do what the command line asks for, once."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    assignment = Quantization(**json.loads(sys.argv[1]))
    floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts it in KiB
    started = time.perf_counter()
    files = work(assignment)
    wall = time.perf_counter() - started
    measured = Measured(wall, floor, {key: str(path) for key, path in files.items()})
    Path(assignment.folder, MEASURED_FILE).write_text(json.dumps(asdict(measured)), encoding="utf-8")
