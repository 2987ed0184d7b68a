"""Rows as the events of a stream."""

from collections.abc import Mapping
from typing import Any

from app.contracts.status import TERMINAL
from app.events.queries import Event
from app.events.source import Progress
from app.events.wire import frame
from app.jobs.schemas import JobRead
from app.tables import Job


def told(event: Event, event_id: str, jobs: Mapping[str, Job]) -> bytes | None:
    """The frame of a stored event. None for a `done` after which the job was queued again: it was not the end."""
    if event.type != "done":
        return frame(event.type, event.told(), event_id=event_id)
    job = jobs.get(event.job_id)
    return None if job is None or not ends(job, event.seq) else final(job, event_id)


def final(job: Job, event_id: str) -> bytes:
    """`done`, with the job as it is for good."""
    return frame("done", {"job_id": job.id, "seq": job.last_event, **job_data(job)}, event_id=event_id)


def ends(job: Job, seq: int) -> bool:
    """True if nothing follows this event of the job."""
    return job.status in TERMINAL and seq >= job.last_event


def progress_of(job: Job) -> Progress | None:
    if job.progress is None:
        return None
    data = {"job_id": job.id, "version": job.version, "attempt": job.attempt, "stage": job.stage, **job.progress}
    return Progress(job.version, frame("progress", data))


def job_data(job: Job) -> dict[str, Any]:
    return JobRead.of(job).model_dump(mode="json")
