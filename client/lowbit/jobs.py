"""The jobs of the service."""

from typing import cast

from lowbit.job import Job, UpdateCallback
from lowbit.resources import JobData, JobRequest, Page, Validation
from lowbit.wire import Wire, address


class Jobs:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def validate(self, request: JobRequest) -> Validation:
        """Check a request without creating anything. All problems are listed, not only the first."""
        return cast(Validation, self._wire.post("/v1/jobs/validate", request))

    def create(self, request: JobRequest) -> Job:
        """Queue a job. A lost connection is tried again under the same key, so there is one job in the end."""
        return Job(self._wire, cast(JobData, self._wire.post("/v1/jobs", request)))

    def get(self, job_id: str, *, wait_seconds: float = 0.0) -> Job:
        return Job.fetch(self._wire, job_id, wait_seconds=wait_seconds)

    def list(self, *, limit: int = 20, after: str | None = None, status: str | None = None) -> Page[JobData]:
        """The newest jobs first."""
        filters = {key: value for key, value in (("after", after), ("status", status)) if value}
        return cast(Page[JobData], self._wire.get("/v1/jobs", limit=limit, **filters))

    def cancel(self, job: Job | str) -> Job:
        return self._handle(job).cancel()

    def delete(self, job: Job | str) -> None:
        """Forget a job that has ended, with all that it left on the service."""
        self._wire.delete(address("jobs", job if isinstance(job, str) else job.id))

    def wait(self, job: Job | str, timeout: float | None = None, on_update: UpdateCallback | None = None) -> Job:
        return self._handle(job).wait(timeout, on_update)

    def _handle(self, job: Job | str) -> Job:
        return job if isinstance(job, Job) else self.get(job)
