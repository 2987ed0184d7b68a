"""What a client sends to make a key, and what it gets back. Only the answer that makes a key shows it."""

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.auth.keys import Key
from app.auth.scopes import Scope
from app.contracts.naming import Name
from app.tables import ApiKey

Seconds = Annotated[int, Field(ge=0, le=int(timedelta(days=3650).total_seconds()))]

NOT_SHOWN_AGAIN = "The key was shown in the first answer to this request. If that was lost, rotate or revoke it."


class TokenCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    scopes: Annotated[list[Scope | Literal["*"]], Field(min_length=1, max_length=16, description="`*` stands for all.")]
    expires_in_seconds: Annotated[Seconds | None, Field(description="Without it the key does not expire.")] = None


class TokenRotate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    grace_seconds: Annotated[Seconds, Field(description="How long the old key still works.")] = 24 * 3600


class TokenRead(BaseModel):
    id: str
    object: Literal["token"] = "token"
    tenant_id: str
    name: str
    scopes: list[str]
    created_at: datetime
    created_by: str | None
    """The id of the key that made it; null for the one that the service itself was started with."""
    expires_at: datetime | None
    last_used_at: datetime | None
    """To the minute or so."""

    @classmethod
    def of(cls, row: ApiKey) -> Self:
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)})


class TokenMade(TokenRead):
    key: str | None = Field(default=None, description="The key itself. Null when the answer is a repeated one.")
    notice: str | None = None

    @classmethod
    def showing(cls, row: ApiKey, key: Key) -> Self:
        return cls.of(row).model_copy(update={"key": key.text()})

    def without_key(self) -> Self:
        """The form that may be kept."""
        return self.model_copy(update={"key": None, "notice": NOT_SHOWN_AGAIN})


class TokenList(BaseModel):
    """All that may be used; `MAX_LIVE_KEYS` bounds them, so there are no pages."""

    object: Literal["list"] = "list"
    data: list[TokenRead]
    first_id: str | None
    last_id: str | None
    has_more: Literal[False] = False

    @classmethod
    def of(cls, rows: list[ApiKey]) -> Self:
        shown = [TokenRead.of(row) for row in rows]
        return cls(data=shown, first_id=shown[0].id if shown else None, last_id=shown[-1].id if shown else None)
