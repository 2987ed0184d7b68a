"""Start a child, wait for it, and learn how much memory it took, even when it was killed."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.assignment import Told

ROOT = Path(__file__).parent.parent

_PROC_STAT = Path("/proc/stat")

MEMORY_LIMIT = "killed: memory limit"

_SIGNS_OF_NO_MEMORY = ("MemoryError", "bad_alloc", "bad allocation", "Failed to allocate memory")


@dataclass(frozen=True)
class Ended:
    outcome: str
    """"ok", or what stopped it."""
    peak_rss_mib: float
    others_cores: float
    """How many cores the rest of the machine kept busy meanwhile, on average: 0 is a quiet machine."""
    wall_seconds: float
    """From the start of the process to its end, imports included."""


def run(module: str, told: Told, *, log: Path, python: Path | str = sys.executable) -> Ended:
    """Run `python -m module` to its end.

    The kernel's ru_maxrss of a child starts from the memory of the process that spawned it: this one has to stay small.
    """
    command = [str(python), "-m", module, json.dumps(asdict(told))]
    started, busy = time.monotonic(), _busy_seconds()
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would take it for a process still running
    others = _busy_seconds() - busy - usage.ru_utime - usage.ru_stime
    wall = time.monotonic() - started
    cores = max(0.0, others / wall)
    return Ended(_outcome(process.returncode, log), usage.ru_maxrss / 1024, round(cores, 2), wall)


def must_run(module: str, told: Told, *, log: Path, python: Path | str = sys.executable) -> Ended:
    ended = run(module, told, log=log, python=python)
    if ended.outcome != "ok":
        raise RuntimeError(f"{module} {ended.outcome}; its output is in {log}")
    return ended


def _busy_seconds() -> float:
    """What all cores together have worked since the machine started, and what its host took from them."""
    user, nice, system, _idle, _iowait, irq, softirq, stolen, *_ = map(int, _PROC_STAT.read_text().split()[1:11])
    return (user + nice + system + irq + softirq + stolen) / os.sysconf("SC_CLK_TCK")


def _outcome(exit_status: int, log: Path) -> str:
    if exit_status == 0:
        return "ok"
    text = log.read_text(encoding="utf-8", errors="replace")
    if any(sign in text for sign in _SIGNS_OF_NO_MEMORY):
        return MEMORY_LIMIT
    return f"failed with {exit_status}: {(text.strip().splitlines() or ['no output'])[-1]}"
