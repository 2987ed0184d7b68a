"""What an operator learns about a job of somebody else: enough to follow it, nothing of what it works on."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel

from app.contracts.status import JobKind, JobStatus
from app.tables import Job


class RequeuedRead(BaseModel):
    id: str
    object: Literal["requeued_job"] = "requeued_job"
    tenant_id: str
    kind: JobKind
    status: JobStatus
    requeues: int
    created_at: datetime

    @classmethod
    def of(cls, row: Job) -> Self:
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)})
