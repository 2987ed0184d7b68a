"""What an operator sends to make or change a tenant, and what the API says about one."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.contracts.naming import Name
from app.tables import Tenant
from app.tokens.me import QuotasRead, UsageRead

Count = Annotated[int, Field(ge=0, lt=2**31)]
Weight = Annotated[float, Field(gt=0, le=1000, description="Share of the workers, relative to others that wait.")]


class _Limits(BaseModel):
    """Null, or left out when a tenant is made: the setting for all tenants holds."""

    model_config = ConfigDict(extra="forbid")

    max_stored_bytes: Annotated[int | None, Field(ge=0, lt=2**63)] = None
    max_queued_jobs: Count | None = None
    max_running_jobs: Annotated[int | None, Field(ge=1, lt=2**31)] = None
    max_open_uploads: Count | None = None
    max_requests_per_minute: Annotated[
        int | None, Field(ge=1, lt=2**31, description="Of all keys of the tenant together.")
    ] = None


class TenantCreate(_Limits):
    name: Name
    weight: Weight = 1.0


class TenantChange(_Limits):
    """Only the fields that are sent change; null puts a limit back to the setting for all tenants."""

    name: Name | None = None
    weight: Weight | None = None
    disabled: Annotated[bool | None, Field(description="The keys of a disabled tenant are refused.")] = None


class TenantRead(BaseModel):
    id: str
    object: Literal["tenant"] = "tenant"
    name: str
    weight: float
    disabled_at: datetime | None
    max_stored_bytes: int | None
    max_queued_jobs: int | None
    max_running_jobs: int | None
    max_open_uploads: int | None
    max_requests_per_minute: int | None
    created_at: datetime

    @classmethod
    def of(cls, row: Tenant) -> Self:
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)})


class TenantDetail(TenantRead):
    """A tenant with what it uses, and the quotas that result from its limits and the settings."""

    usage: UsageRead
    quotas: QuotasRead
