"""Keys, of which only a digest of the secret is stored."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.tables.base import Base


class ApiKey(Base):
    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "tenant_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    """The public part of the key."""
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]
    secret_sha256: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    scopes: Mapped[list[str]] = mapped_column(server_default=text("'[]'"))
    """What it may be used for; `app.auth.scopes` lists them."""
    last_used_at: Mapped[datetime | None]
    """To the minute or so: writing it with every request would cost more than it tells."""
    created_by: Mapped[str | None]
    """The id of the key that made it."""
