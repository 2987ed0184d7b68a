"""What the API says about an entry of the audit log."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field

from app.pagination import MAX_LIMIT
from app.tables import AuditEntry

PREFIX = "aud_"


class AuditPage(BaseModel):
    """Query parameters. Entries are numbered, newest first."""

    model_config = {"extra": "forbid"}

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 20
    after: Annotated[str | None, Field(max_length=64, description="`last_id` of the previous page.")] = None


class AuditRead(BaseModel):
    id: str
    object: Literal["audit_entry"] = "audit_entry"
    tenant_id: str
    key_id: str | None
    action: str
    """The operation, such as `create_job`; or `rejected`, with the code and the number of requests in `detail`."""
    subject: str | None
    request_id: str | None
    detail: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, row: AuditEntry) -> Self:
        fields = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        return cls.model_validate({**fields, "id": f"{PREFIX}{row.id}"})
