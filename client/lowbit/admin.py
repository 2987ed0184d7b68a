"""What an operator does: tenants, their keys and limits, jobs that were given up, garbage, the audit log."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from lowbit.resources import AuditEntry, Garbage, MadeToken, Page, Tenant, Token
from lowbit.wire import Wire, address


class Admin:
    """Needs a key of the default tenant with the scope `tenants:admin`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def tenants(self, *, limit: int = 20, after: str | None = None) -> Page[Tenant]:
        """The newest tenants first."""
        return cast(Page[Tenant], self._wire.get(address("admin", "tenants"), limit=limit, **_given(after=after)))

    def tenant(self, tenant_id: str) -> Tenant:
        """One tenant, with `usage` and the `quotas` that it is held to."""
        return cast(Tenant, self._wire.get(address("admin", "tenants", tenant_id)))

    def create_tenant(self, name: str, **limits: float | None) -> Tenant:
        """`limits` are `weight`, `max_stored_bytes`, `max_queued_jobs` and the like; else the service's own hold."""
        return cast(Tenant, self._wire.post(address("admin", "tenants"), {"name": name, **limits}))

    def change_tenant(self, tenant_id: str, changes: Mapping[str, Any]) -> Tenant:
        """Change some fields: a limit (None puts it back to the service's), `name`, `weight`, `disabled`."""
        return cast(Tenant, self._wire.patch(address("admin", "tenants", tenant_id), dict(changes)))

    def keys(self, tenant_id: str) -> list[Token]:
        """The keys of a tenant that may be used."""
        return cast(Page[Token], self._wire.get(address("admin", "tenants", tenant_id, "keys")))["data"]

    def create_key(
        self, tenant_id: str, name: str, *, scopes: Sequence[str], expires_in_seconds: int | None = None
    ) -> MadeToken:
        """Make a key. `key` holds it, in this answer only."""
        body = {"name": name, "scopes": list(scopes), "expires_in_seconds": expires_in_seconds}
        return cast(MadeToken, self._wire.post(address("admin", "tenants", tenant_id, "keys"), body))

    def revoke_key(self, tenant_id: str, key_id: str) -> None:
        self._wire.delete(address("admin", "tenants", tenant_id, "keys", key_id))

    def requeue(self, job_id: str) -> dict[str, Any]:
        """Let a job that was given up run again, with all its attempts."""
        return cast(dict[str, Any], self._wire.post(address("admin", "jobs", job_id, "requeue"), None))

    def garbage(self) -> Garbage:
        """What a collection would remove now."""
        return cast(Garbage, self._wire.get(address("admin", "garbage")))

    def collect_garbage(self) -> Garbage:
        """Remove it, rather than wait until the service does."""
        return cast(Garbage, self._wire.post(address("admin", "garbage"), None))

    def audit(self, *, tenant_id: str | None = None, limit: int = 20, after: str | None = None) -> Page[AuditEntry]:
        """Who changed what, the newest first."""
        filters = _given(tenant_id=tenant_id, after=after)
        return cast(Page[AuditEntry], self._wire.get(address("admin", "audit"), limit=limit, **filters))


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
