"""The limits of a tenant: its own where it has one, else what holds for all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from app.settings import Settings
from app.tables import Tenant

_INFO = "quotas"


@dataclass(frozen=True)
class QuotaLimits:
    """None is no limit."""

    stored_bytes: int | None = None
    queued_jobs: int | None = None
    running_jobs: int | None = None
    open_uploads: int | None = None

    @classmethod
    def of_settings(cls, settings: Settings) -> Self:
        return cls(
            settings.quota_stored_bytes,
            settings.quota_queued_jobs,
            settings.quota_running_jobs,
            settings.quota_open_uploads,
        )

    def of_tenant(self, tenant: Tenant) -> "QuotaLimits":
        """These limits, but for those that the tenant has of its own."""
        return QuotaLimits(
            _first(tenant.max_stored_bytes, self.stored_bytes),
            _first(tenant.max_queued_jobs, self.queued_jobs),
            _first(tenant.max_running_jobs, self.running_jobs),
            _first(tenant.max_open_uploads, self.open_uploads),
        )


NO_QUOTAS = QuotaLimits()


def limited_by(limits: QuotaLimits) -> dict[str, Any]:
    """The `info` of a session whose tenants are held to these limits, where they have none of their own."""
    return {_INFO: limits}


def limits_of(info: Mapping[Any, Any]) -> QuotaLimits:
    """The limits that a session was made with."""
    limits: QuotaLimits = info.get(_INFO, NO_QUOTAS)
    return limits


def _first(own: int | None, general: int | None) -> int | None:
    return general if own is None else own
