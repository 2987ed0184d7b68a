"""Scripts that stand in for a job's process: small, hostile, and run by the real supervision."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.contracts.problem import problem
from workers.protocol.outcome import OUTCOME_FILE, Refused
from workers.sandbox.levels import Level
from workers.supervision.process import job_process
from workers.supervision.process.limits import Limits

REFUSED = Refused(problem=problem("npz_invalid", "Cut off.")).model_dump_json()
ENDS_WELL = f"open(sys.argv[1] + '/{OUTCOME_FILE}', 'w').write({REFUSED!r})"


NO_LIMITS = Limits()

both_kinds = pytest.mark.parametrize("level", [Level.BUBBLEWRAP, Level.LANDLOCK])
"""With bubblewrap a process of its own waits for the job's; at the other levels the first process is the job's."""


class StopNow(Exception):
    pass


def run(
    scratch: Path,
    code: str,
    *,
    stop_at: str | None = None,
    within: Limits = NO_LIMITS,
    level: Level = Level.BUBBLEWRAP,
) -> tuple[Any, list[Any]]:
    """Run a script as the job's process; raises StopNow once there is a file of the name `stop_at`."""
    events: list[Any] = []

    def check() -> None:
        if stop_at is not None and (scratch / stop_at).exists():
            raise StopNow

    outcome = job_process.run(
        scratch,
        on_event=events.append,
        check=check,
        limits=within,
        level=level,
        command=[sys.executable, "-c", f"import os, signal, sys, time\n{code}"],
    )
    return outcome, events


def left_over(scratch: Path) -> list[int]:
    """Processes that work in the scratch folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == scratch:
                found.append(process.pid)
    return found
