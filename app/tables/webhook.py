"""Addresses that want to be told when a job ends, and what was sent to them. A trigger on `jobs` adds deliveries."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.tables.base import Base, TenantOwned


class Webhook(TenantOwned, Base):
    __tablename__ = "webhooks"
    __table_args__ = (UniqueConstraint("tenant_id", "id"), Index("ix_webhooks_tenant", "tenant_id", "id"))

    url: Mapped[str]
    secret: Mapped[bytes]
    """Signing needs the secret itself, so it cannot be kept as a digest."""
    event_types: Mapped[list[str]]
    failing_since: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]


class WebhookDelivery(TenantOwned, Base):
    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint("status IN ('waiting', 'delivered', 'given_up')", name="status"),
        ForeignKeyConstraint(["tenant_id", "webhook_id"], ["webhooks.tenant_id", "webhooks.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.id"], ondelete="CASCADE"),
        Index("ix_webhook_deliveries_due", "next_attempt_at", postgresql_where=text("status = 'waiting'")),
        Index("ix_webhook_deliveries_webhook", "webhook_id", "id"),
        Index(None, "job_id"),
    )

    webhook_id: Mapped[str]
    job_id: Mapped[str | None]
    event_type: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=text("'waiting'"), default="waiting")
    attempts: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    response_status: Mapped[int | None]
    failure: Mapped[str | None]
    delivered_at: Mapped[datetime | None]
