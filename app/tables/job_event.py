"""What happened to a job, in order. Triggers write status, stage and warnings; workers add logs and results."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.tables.base import Base, JsonObject
from app.tables.xid8 import Xid8


class JobEvent(Base):
    __tablename__ = "job_events"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.id"], ondelete="CASCADE"),
        Index("ix_job_events_tenant", "tenant_id", "xid", "job_id", "seq"),
    )

    job_id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """From 1, without gaps, in the order in which a job's changes were committed."""
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    xid: Mapped[int] = mapped_column(Xid8(), server_default=text("pg_current_xact_id()"))
    """The transaction that wrote it. Ordering by it, up to the oldest one under way, misses no event of any job."""
    type: Mapped[str]
    data: Mapped[JsonObject]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
