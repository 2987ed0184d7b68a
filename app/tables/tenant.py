"""Who owns what, and how much of the service they may use."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.tables.base import Base

DEFAULT_TENANT_ID = "tnt_00000000000000000000000000000000"
"""The tenant of the admin key that `lowbit serve` makes."""


class Tenant(Base):
    __tablename__ = "tenants"
    __table_args__ = (CheckConstraint("weight > 0", name="weight"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    disabled_at: Mapped[datetime | None]
    """Its keys are refused from then on."""

    weight: Mapped[float] = mapped_column(server_default=text("1.0"))
    """Its share of the workers, relative to the others that wait."""

    # quotas; without a value the setting for all tenants holds
    max_stored_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_queued_jobs: Mapped[int | None]
    max_running_jobs: Mapped[int | None]
    max_open_uploads: Mapped[int | None]
    max_requests_per_minute: Mapped[int | None]
