"""Every candidate that a job tried, the float baseline included."""

from sqlalchemy import ForeignKeyConstraint, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.tables.base import Base, JsonObject, TenantOwned


class Variant(TenantOwned, Base):
    __tablename__ = "variants"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("job_id", "key"),
        ForeignKeyConstraint(["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.id"], ondelete="CASCADE"),
    )

    job_id: Mapped[str]
    key: Mapped[str]
    role: Mapped[str]
    label: Mapped[str]
    calibration_method: Mapped[str | None]
    percentile: Mapped[float | None]
    metrics: Mapped[JsonObject]
    admissible: Mapped[bool]
    best: Mapped[bool]
    layers: Mapped[list[JsonObject]] = mapped_column(server_default=text("'[]'"), deferred=True)
    """In the order of the graph; none for the float baseline. Megabytes for a large model, so only read when asked."""
