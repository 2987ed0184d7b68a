"""Status requests beside open streams, with one core for the API and one for everything else."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from lowbit.request import job_request

from benchmarks.processes import ROOT
from benchmarks.service.embedded import Embedded
from benchmarks.service.load import Load, Plan
from benchmarks.service.submission import prepared

JOBS = 20
STREAMS = 1000
PER_SECOND = 200
SECONDS = 20.0
CHANGES_PER_SECOND = 5
"""Of progress, over all jobs: one each in four seconds. Each is told to every stream of its job, which makes 250 events
a second."""


@dataclass(frozen=True)
class StatusFigures:
    load: Load
    api_rss_mb: float
    """The most that the process has held since its start."""
    api_rss_idle_mb: float
    api_cores: float
    """CPU seconds of the API in each second of the measurement."""

    def p(self, share: float) -> float:
        ordered = sorted(self.load.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure_status(service: Embedded, folder: Path, *, streams: int = STREAMS) -> StatusFigures:
    """The service must have no worker that would take the jobs: they are to stay as they are put."""
    with service.client() as client:
        model_id, dataset_id = prepared(client)
        job_ids = [client.jobs.create(job_request(model_id, dataset_id, None, {})).id for _ in range(JOBS)]
    service.pin(api_core=0, others_core=1)
    address = urlsplit(service.url)
    plan = Plan(address.hostname or "", address.port or 0, service.key, job_ids, streams, PER_SECOND, SECONDS)
    Path(folder, "plan.json").write_text(json.dumps(asdict(plan)))
    api = service.api()
    idle = api.memory_info().rss / 1e6
    command = ["taskset", "--cpu-list", "1", sys.executable, "-m", "benchmarks.service.load", str(folder / "plan.json")]
    over = threading.Event()
    changing = threading.Thread(target=_change, args=(service.database_url(), job_ids, over))
    changing.start()
    cpu_before, started = _cpu_seconds(service), time.monotonic()
    try:
        answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    finally:
        over.set()
        changing.join()
    cores = (_cpu_seconds(service) - cpu_before) / (time.monotonic() - started)
    return StatusFigures(Load(**json.loads(answer)), _peak_mb(api.pid), idle, cores)


def _change(database_url: str, job_ids: list[str], over: threading.Event) -> None:
    """What workers do while they calibrate: the progress of one job after the other rises."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SELECT set_config('app.tenant_id', '*', false)")
        changes = 0
        while not over.wait(1 / CHANGES_PER_SECOND):
            changes += 1
            connection.execute(
                "UPDATE jobs SET version = version + 1, progress = jsonb_build_object('fraction', 0.5, "
                "'completed', %s::int, 'total', 1000000, 'unit', 'batches') WHERE id = %s",
                (changes, job_ids[changes % len(job_ids)]),
            )


def _cpu_seconds(service: Embedded) -> float:
    times = service.api().cpu_times()
    return float(times.user + times.system)


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6
