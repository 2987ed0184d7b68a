"""What the API says about the caller."""

from typing import Literal

from pydantic import BaseModel

from app.tokens.schemas import TokenRead


class UsageRead(BaseModel):
    """Counted from the rows themselves at the time of asking."""

    stored_bytes: int
    queued_jobs: int
    running_jobs: int
    open_uploads: int


class QuotasRead(BaseModel):
    """Null is no limit."""

    stored_bytes: int | None
    queued_jobs: int | None
    running_jobs: int | None
    open_uploads: int | None


class MeRead(BaseModel):
    object: Literal["me"] = "me"
    tenant_id: str
    key: TokenRead
    usage: UsageRead
    quotas: QuotasRead
