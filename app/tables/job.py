"""All asynchronous work. `app.jobs.lease` holds the statements that move a row from one status to the next."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.contracts.status import JobStatus
from app.tables.base import Base, JsonObject, TenantOwned


class Job(TenantOwned, Base):
    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "model_id"], ["models.tenant_id", "models.id"]),
        ForeignKeyConstraint(["tenant_id", "calibration_dataset_id"], ["datasets.tenant_id", "datasets.id"]),
        ForeignKeyConstraint(["tenant_id", "evaluation_dataset_id"], ["datasets.tenant_id", "datasets.id"]),
        ForeignKeyConstraint(["tenant_id", "upload_id"], ["uploads.tenant_id", "uploads.id"], ondelete="CASCADE"),
        # a deletion of what is referred to looks for those who refer to it
        Index(None, "model_id"),
        Index(None, "calibration_dataset_id"),
        Index(None, "evaluation_dataset_id"),
        Index(None, "upload_id"),
        # the questions that are asked all day: what is next, whose turn it is, and whose lease has run out
        Index(
            "ix_jobs_waiting",
            "queue",
            "tenant_id",
            text("priority DESC"),
            "id",
            postgresql_where=text("status = 'queued'"),
        ),
        Index("ix_jobs_turn", "tenant_id", "queue", "started_at"),
        Index(
            "ix_jobs_leased",
            "lease_expires_at",
            "tenant_id",
            postgresql_where=text("status IN ('running', 'cancelling')"),
        ),
        Index(None, "finished_at"),  # metrics count jobs as they end
        Index("ix_jobs_tenant_kind", "tenant_id", "kind", "id"),
    )

    kind: Mapped[str]
    queue: Mapped[str]
    priority: Mapped[int] = mapped_column(default=0)
    name: Mapped[str]
    status: Mapped[str] = mapped_column(default=JobStatus.QUEUED)
    version: Mapped[int] = mapped_column(BigInteger, default=1)
    """Rises with every change that a client can see; the ETag."""

    # what it works on: quantize jobs name all of these, inspections one
    model_id: Mapped[str | None]
    calibration_dataset_id: Mapped[str | None]
    evaluation_dataset_id: Mapped[str | None]
    upload_id: Mapped[str | None]
    target: Mapped[str | None]
    recipe: Mapped[JsonObject | None]
    objective: Mapped[JsonObject | None]
    benchmark: Mapped[JsonObject | None]
    advice: Mapped[list[JsonObject]] = mapped_column(server_default=text("'[]'"), default=list)
    """What its owner was told when it was made. `warnings` are of the attempt that runs or ran last."""
    labels: Mapped[dict[str, str]] = mapped_column(default=dict)
    seed: Mapped[int] = mapped_column(BigInteger, default=0)

    # how far it is
    stage: Mapped[str | None]
    stages: Mapped[list[JsonObject]] = mapped_column(default=list)
    progress: Mapped[JsonObject | None]
    warnings: Mapped[list[JsonObject]] = mapped_column(default=list)
    result: Mapped[JsonObject | None]
    error: Mapped[JsonObject | None]
    reused: Mapped[list[JsonObject]] = mapped_column(server_default=text("'[]'"), default=list)
    """Steps whose results were taken from an earlier attempt or another job of the tenant."""
    last_event: Mapped[int] = mapped_column(BigInteger, server_default=text("1"), default=1)
    """The `seq` of the newest of its events; triggers number them."""

    # where it came from, for logs and traces
    request_id: Mapped[str | None]
    traceparent: Mapped[str | None]

    # the lease: who works on it, and until when that holds
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    lease_owner: Mapped[str | None]
    lease_token: Mapped[int] = mapped_column(BigInteger, default=0)
    lease_expires_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]

    # how its attempts ended, so far: each class has a budget of its own
    crashes: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    losses: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    postponements: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    requeues: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    """How often an operator let it run again after quarantine."""
    deadline_seconds: Mapped[float | None]
    """Of one attempt, from its claim."""

    run_after: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
