"""How a Celery worker's process is started, by the supervisor and by `lowbit worker` alike."""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.contracts.status import Queue
from app.serve.child import Child

GRACE_SECONDS = 30.0
"""A worker that is told to stop ends its job's process and gives the job back; that takes seconds, not this long."""


def worker_command(queues: Sequence[Queue], *, slots: int) -> list[str]:
    names = ",".join(queues)
    return [
        *(sys.executable, "-m", "celery", "-A", "workers.celery_app:celery", "worker"),
        *("--queues", names, "--concurrency", str(slots), "--pool", "prefork"),
        *("--hostname", f"{names.replace(',', '-')}-{os.getpid()}@{socket.gethostname()}"),
        # other workers are no concern of this one: the database arbitrates
        *("--without-gossip", "--without-mingle", "--loglevel", "INFO"),
    ]


def worker_child(queues: Sequence[Queue], *, slots: int, environment: Mapping[str, str], log_file: Path) -> Child:
    return Child(
        name=f"worker-{'-'.join(queues)}",
        command=worker_command(queues, slots=slots),
        environment=environment,
        log_file=log_file,
        grace_seconds=GRACE_SECONDS,
        is_needed=False,
    )
