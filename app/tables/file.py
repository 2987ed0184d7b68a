"""Uploaded bytes. The content lies in the object store under its digest."""

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.tables.base import Base, TenantOwned


class File(TenantOwned, Base):
    __tablename__ = "files"
    __table_args__ = (UniqueConstraint("tenant_id", "id"), Index("ix_files_tenant_sha256", "tenant_id", "sha256"))

    filename: Mapped[str]
    purpose: Mapped[str]
    format: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
