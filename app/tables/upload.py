"""A file on its way in, in parts. Which parts have arrived is known to the object store alone."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.contracts.status import UploadStatus
from app.tables.base import Base, JsonObject, TenantOwned


class Upload(TenantOwned, Base):
    __tablename__ = "uploads"
    __table_args__ = (
        CheckConstraint(
            "status IN ('pending', 'verifying', 'completed', 'failed', 'aborted', 'expired')", name="status"
        ),
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "file_id"], ["files.tenant_id", "files.id"], ondelete="SET NULL (file_id)"),
        Index("ix_uploads_open", "expires_at", postgresql_where=text("status IN ('pending', 'verifying')")),
        Index("ix_uploads_tenant", "tenant_id", "id"),
    )

    filename: Mapped[str]
    purpose: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    """Of the whole file; known when the upload is completed, at the latest."""
    part_bytes: Mapped[int] = mapped_column(BigInteger)
    staging_handle: Mapped[str]
    """The object store's own name for the parts."""
    status: Mapped[str] = mapped_column(default=UploadStatus.PENDING)
    parts: Mapped[list[JsonObject] | None]
    """The parts that the client completed with: number and etag."""
    problem: Mapped[JsonObject | None]
    file_id: Mapped[str | None]
    expires_at: Mapped[datetime]
