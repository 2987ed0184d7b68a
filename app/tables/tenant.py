"""Who owns what."""

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from app.tables.base import Base

DEFAULT_TENANT_ID = "tnt_00000000000000000000000000000000"
"""The tenant of the admin key that `lowbit serve` makes."""


class Tenant(Base):
    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
