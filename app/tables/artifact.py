"""A file that a job made. The content lies in the object store under its digest."""

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.tables.base import Base, TenantOwned


class Artifact(TenantOwned, Base):
    __tablename__ = "artifacts"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["tenant_id", "variant_id"], ["variants.tenant_id", "variants.id"], ondelete="CASCADE"),
        Index("ix_artifacts_job", "job_id"),
        Index(None, "variant_id"),
        Index("ix_artifacts_tenant_sha256", "tenant_id", "sha256"),
    )

    job_id: Mapped[str]
    variant_id: Mapped[str | None]
    kind: Mapped[str]
    filename: Mapped[str]
    media_type: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
