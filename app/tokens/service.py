"""Making, finding and revoking keys. No key can hand out more than it may do itself."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.service import explain
from app.auth.keys import Key, generate
from app.auth.principal import Principal
from app.auth.scopes import OPERATOR_SCOPES
from app.auth.verification import live
from app.contracts.problem import refuse
from app.quotas.service import lock_tenant
from app.tables import DEFAULT_TENANT_ID, ApiKey
from app.tokens.schemas import TokenCreate

MAX_LIVE_KEYS = 100
"""Of one tenant. Each key has a rate limit of its own, so their number must have an end."""


async def create(
    session: AsyncSession, wanted: TokenCreate, *, tenant_id: str, caller: Principal
) -> tuple[ApiKey, Key]:
    refuse_escalation(wanted.scopes, tenant_id=tenant_id, caller=caller)
    life = None if wanted.expires_in_seconds is None else timedelta(seconds=wanted.expires_in_seconds)
    return await _add(
        session, wanted.name, sorted(set(wanted.scopes)), life, tenant_id=tenant_id, created_by=caller.key_id
    )


async def live_keys(session: AsyncSession, tenant_id: str) -> Sequence[ApiKey]:
    return (await session.scalars(_live_keys(tenant_id).order_by(ApiKey.created_at.desc(), ApiKey.id))).all()


async def get(session: AsyncSession, key_id: str, *, tenant_id: str) -> ApiKey:
    row = await session.scalar(_live_keys(tenant_id).where(ApiKey.id == key_id))
    if row is None:
        raise refuse("not_found", "There is no such key.")
    return row


async def revoke(session: AsyncSession, key_id: str, *, tenant_id: str) -> None:
    row = await get(session, key_id, tenant_id=tenant_id)
    _refuse_the_services_own(row)
    row.revoked_at = func.clock_timestamp()


async def rotate(
    session: AsyncSession, key_id: str, *, tenant_id: str, caller: Principal, grace_seconds: int
) -> tuple[ApiKey, Key]:
    """A new key in place of an old one, which works for a while yet. A limited life begins again."""
    old = await get(session, key_id, tenant_id=tenant_id)
    _refuse_the_services_own(old)
    refuse_escalation(old.scopes, tenant_id=tenant_id, caller=caller)
    life = None if old.expires_at is None else old.expires_at - old.created_at
    made = await _add(session, old.name, old.scopes, life, tenant_id=tenant_id, created_by=caller.key_id)
    # LEAST leaves out a NULL: a key without an end gets one
    old.expires_at = func.least(ApiKey.expires_at, func.clock_timestamp() + timedelta(seconds=grace_seconds))
    explain(session, replaces=old.id, grace_seconds=grace_seconds)
    await session.flush()
    return made


def refuse_escalation(scopes: Iterable[str], *, tenant_id: str, caller: Principal) -> None:
    """An operator may give another tenant's key all that a tenant can have; within a tenant nobody can give more."""
    for scope in scopes:
        if scope in OPERATOR_SCOPES and tenant_id != DEFAULT_TENANT_ID:
            raise refuse("forbidden", f"Only keys of the default tenant may hold `{scope}`.", pointer="/scopes")
        if tenant_id == caller.tenant_id and not caller.may(scope):
            raise refuse("forbidden", f"This key lacks `{scope}`, so it cannot grant it.", pointer="/scopes")


async def _add(
    session: AsyncSession, name: str, scopes: list[str], life: timedelta | None, *, tenant_id: str, created_by: str
) -> tuple[ApiKey, Key]:
    await lock_tenant(session, tenant_id)
    existing = await session.scalar(select(func.count()).select_from(_live_keys(tenant_id).subquery()))
    if (existing or 0) >= MAX_LIVE_KEYS:
        raise refuse("concurrency_limit", f"A tenant may have {MAX_LIVE_KEYS} keys.", hint="Revoke one of them.")
    key = generate()
    row = ApiKey(
        id=key.id,
        tenant_id=tenant_id,
        name=name,
        secret_sha256=key.secret_sha256(),
        scopes=scopes,
        created_by=created_by,
        expires_at=None if life is None else func.clock_timestamp() + life,
    )
    session.add(row)
    await session.flush()
    await session.refresh(row)
    explain(session, made=key.id, name=name, scopes=scopes)
    return row, key


def _live_keys(tenant_id: str) -> Select[ApiKey]:
    return select(ApiKey).where(ApiKey.tenant_id == tenant_id, live())


def _refuse_the_services_own(row: ApiKey) -> None:
    if row.created_by is None:
        raise refuse(
            "resource_in_use",
            "The service is started with this key and would bring it back.",
            hint="Change LOWBIT_ADMIN_KEY, or remove the key's file, and start the service again.",
        )
