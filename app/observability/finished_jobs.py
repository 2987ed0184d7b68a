"""Counts jobs as they end, from their rows: a worker needs no metrics port, and one that dies takes no count with it.

Each API process counts for itself, from its own start, and all count the same jobs: look at one process, or at the
largest value, never at their sum.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Histogram
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from app.tables import Job

STAGE_BUCKETS_SECONDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
WAIT_BUCKETS_SECONDS = (0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)

LATE_COMMIT = timedelta(seconds=60)
"""A row shows the time of its statement and appears with its commit; no transaction of ours takes this long."""
MAX_ROWS_A_SCRAPE = 2000
"""Should more have ended since the last scrape, the next ones catch up."""


class FinishedJobs:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._mark: datetime | None = None
        """Everything that ended more than `LATE_COMMIT` before has been counted."""
        self._counted: dict[str, datetime] = {}
        """Jobs counted since then, with their ends."""
        self._one_at_a_time = asyncio.Lock()
        self._finished = Counter(
            "lowbit_jobs_finished_total", "Jobs that ended, by how.", ["kind", "status"], registry=registry
        )
        self._attempts = Counter(
            "lowbit_job_attempts_total",
            "Attempts that ended jobs took, failed ones included.",
            ["kind"],
            registry=registry,
        )
        self._mishaps = Counter(
            "lowbit_job_mishaps_total",
            "Attempts at ended jobs that went wrong: `crash` of the job's process, `lease_loss` of a silent worker, "
            "`postponement` for want of a store or a disk.",
            ["kind", "mishap"],
            registry=registry,
        )
        self._stages = Histogram(
            "lowbit_job_stage_duration_seconds",
            "Run time of each stage in the attempt that ended a job.",
            ["kind", "stage"],
            buckets=STAGE_BUCKETS_SECONDS,
            registry=registry,
        )
        self._waits = Histogram(
            "lowbit_job_wait_seconds",
            "Time from a job's creation to its first start.",
            ["kind"],
            buckets=WAIT_BUCKETS_SECONDS,
            registry=registry,
        )

    async def catch_up(self, session: AsyncSession) -> None:
        """Count what has ended since the last look. The first look counts nothing: it says where to begin."""
        async with self._one_at_a_time:
            if self._mark is None:
                self._mark = await session.scalar(select(func.clock_timestamp()))
                self._remember(await self._new(session))
                return
            rows = await self._new(session)
            self._remember(rows)
            for job in rows:
                self._count(job)

    async def _new(self, session: AsyncSession) -> Sequence[Job]:
        assert self._mark is not None
        statement = _ended_after(self._mark - LATE_COMMIT).where(Job.id.not_in(self._counted))
        return (await session.scalars(statement)).all()

    def _remember(self, rows: Sequence[Job]) -> None:
        assert self._mark is not None
        ends = {job.id: job.finished_at for job in rows if job.finished_at is not None}
        self._mark = max([self._mark, *ends.values()])
        seen_again = self._mark - LATE_COMMIT
        self._counted = {i: end for i, end in {**self._counted, **ends}.items() if end > seen_again}

    def _count(self, job: Job) -> None:
        self._finished.labels(job.kind, job.status).inc()
        self._attempts.labels(job.kind).inc(job.attempt)
        for mishap, times in (
            ("crash", job.crashes),
            ("lease_loss", job.losses),
            ("postponement", job.postponements),
        ):
            self._mishaps.labels(job.kind, mishap).inc(times)
        for stage in job.stages:
            if stage["duration_s"] is not None:
                self._stages.labels(job.kind, stage["name"]).observe(stage["duration_s"])
        if job.started_at is not None:
            self._waits.labels(job.kind).observe((job.started_at - job.created_at).total_seconds())


def _ended_after(time: datetime) -> Select[Job]:
    return (
        select(Job)
        .options(
            load_only(
                *(Job.id, Job.kind, Job.status, Job.created_at, Job.started_at, Job.finished_at, Job.stages),
                *(Job.attempt, Job.crashes, Job.losses, Job.postponements),
            )
        )
        .where(Job.finished_at > time)
        .order_by(Job.finished_at)
        .limit(MAX_ROWS_A_SCRAPE)
    )
