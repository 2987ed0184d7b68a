"""What an operator sees: tenants, keys, the audit log, garbage."""

from typing import Any, NotRequired, TypedDict


class Tenant(TypedDict):
    id: str
    name: str
    weight: float
    disabled_at: str | None
    max_stored_bytes: int | None
    max_queued_jobs: int | None
    max_running_jobs: int | None
    max_open_uploads: int | None
    max_requests_per_minute: int | None
    created_at: str
    usage: NotRequired[dict[str, int]]
    quotas: NotRequired[dict[str, int | None]]


class Token(TypedDict):
    """A key's facts, without the key."""

    id: str
    tenant_id: str
    name: str
    scopes: list[str]
    created_at: str
    created_by: str | None
    expires_at: str | None
    last_used_at: str | None


class MadeToken(Token):
    key: str | None
    notice: str | None


class AuditEntry(TypedDict):
    id: str
    tenant_id: str
    key_id: str | None
    action: str
    subject: str | None
    request_id: str | None
    detail: dict[str, Any]
    created_at: str


class GarbageTotal(TypedDict):
    kind: str
    count: int
    bytes: int


class Garbage(TypedDict):
    removed: bool
    totals: list[GarbageTotal]
    items: list[dict[str, Any]]
