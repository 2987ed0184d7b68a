"""What one job costs the servers that all workers share: transactions, write-ahead log, rows, commands and objects."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from lowbit import Client
from lowbit.request import job_request
from redis import Redis

from benchmarks.service.embedded import Embedded
from benchmarks.service.submission import prepared

JOBS = 20
IDLE_SECONDS = 20.0
LONG_SECONDS = 60.0


@dataclass(frozen=True)
class Counters:
    """As the servers count them, since their start."""

    transactions: float
    wal_bytes: float
    event_rows: float
    broker_commands: float
    objects: float
    object_bytes: float

    def since(self, earlier: "Counters", *, share: float = 1.0) -> "Counters":
        return Counters(*[share * (now - then) for now, then in zip(self._all(), earlier._all(), strict=True)])  # noqa: SLF001  of its own kind

    def rounded(self) -> dict[str, float]:
        return {name: round(value, 1) for name, value in asdict(self).items()}

    def _all(self) -> tuple[float, ...]:
        return tuple(asdict(self).values())


def measure_cost(service: Embedded, folder: Path) -> dict[str, Any]:
    """Of a short job, without what the service does anyway; and of each second of a job that goes on."""
    with service.client() as client, psycopg.connect(service.database_url(), autocommit=True) as database:
        database.execute("SELECT set_config('app.tenant_id', '*', false)")
        broker = Redis.from_url(service.api().environ()["LOWBIT_BROKER_URL"].replace("redis+socket://", "unix://"))

        def counted() -> Counters:
            return _counters(database, broker, folder / "objects")

        model_id, dataset_id = prepared(client)
        idle = _over(IDLE_SECONDS, counted)
        run = _Run(client, model_id, dataset_id)
        before, started = counted(), time.monotonic()
        for _ in range(JOBS):
            run.job(duration_s=0.2)
        after = counted()
        unasked = _times(idle, time.monotonic() - started)
        short = _times(after.since(before).since(unasked), 1 / JOBS)
        job_id = run.start(duration_s=LONG_SECONDS)
        running = _over(LONG_SECONDS / 2, counted).since(idle)
        client.jobs.get(job_id).cancel()
    return {
        "jobs": JOBS,
        "per_job": short.rounded(),
        "per_second_of_a_running_job": running.rounded(),
        "per_second_idle": idle.rounded(),
        "recipe": "int8-fast on one layer; benchmark of one batch size",
        "heartbeat_seconds": 10,
    }


def _times(counters: Counters, factor: float) -> Counters:
    return Counters(*[factor * value for value in asdict(counters).values()])


def _over(seconds: float, counted: Callable[[], Counters]) -> Counters:
    """In each second of a time."""
    before, started = counted(), time.monotonic()
    time.sleep(seconds)
    after = counted()
    return after.since(before, share=1 / (time.monotonic() - started))


@dataclass(frozen=True)
class _Run:
    client: Client
    model_id: str
    dataset_id: str

    def start(self, *, duration_s: float) -> str:
        request = job_request(self.model_id, self.dataset_id, None, {"recipe": "int8-fast"})
        request["benchmark"] = {"batch_sizes": [1], "duration_s": duration_s}
        job = self.client.jobs.create(request)
        while self.client.jobs.get(job.id).stage != "benchmark":
            time.sleep(0.1)
        return job.id

    def job(self, *, duration_s: float) -> None:
        request = job_request(self.model_id, self.dataset_id, None, {"recipe": "int8-fast"})
        request["benchmark"] = {"batch_sizes": [1], "duration_s": duration_s}
        self.client.jobs.create(request).wait()


def _counters(database: "psycopg.Connection[Any]", broker: Redis, objects: Path) -> Counters:
    time.sleep(1.2)  # Postgres' sessions report their counts at most once a second
    database.execute("SELECT pg_stat_clear_snapshot()")
    transactions, wal = database.execute(
        "SELECT sum(xact_commit + xact_rollback)::float, (pg_current_wal_lsn() - '0/0')::float FROM pg_stat_database"
    ).fetchone() or (0, 0)
    (rows,) = database.execute("SELECT count(*)::float FROM job_events").fetchone() or (0,)
    sizes = [path.stat().st_size for path in objects.rglob("*") if path.is_file()]
    commands = float(broker.info("stats")["total_commands_processed"])
    return Counters(transactions, wal, rows, commands, len(sizes), sum(sizes))
