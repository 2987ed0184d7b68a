"""The output of a finished step, found again by the digest of all that influenced it."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.tables.base import Base


class JobStep(Base):
    __tablename__ = "job_steps"
    __table_args__ = (
        Index("ix_job_steps_tenant_sha256", "tenant_id", "sha256"),
        Index("ix_job_steps_tenant_family", "tenant_id", "family", postgresql_where=text("family IS NOT NULL")),
    )

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    family: Mapped[str | None]
    """Of a part: what all parts of one whole have in common. Its key follows from this and its name."""
    part: Mapped[str | None]
    """Its name, which only the job's process knows beforehand."""
    sha256: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    job_id: Mapped[str]
    """The job that did the work. No reference: the step may outlive it."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    last_used_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
