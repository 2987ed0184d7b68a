"""From the text of a key to who it stands for. Answers are kept for two seconds, so that a busy client costs one query
in that time rather than one for each request. A revoked key is refused after two seconds at the latest.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.sql.elements import ColumnElement

from app.auth.keys import Key, parse
from app.auth.principal import Principal
from app.tables import ApiKey, Tenant

FRESH_SECONDS = 2.0
MAX_REMEMBERED = 10_000
_NO_DIGEST = bytes(32)


class Rejected(NamedTuple):
    """A key that is not valid, with what the audit log should know. The client learns none of it."""

    key_id: str | None = None
    tenant_id: str | None = None
    """Whose key it is, or was; None if there is no such key."""


class _Known(NamedTuple):
    principal: Principal
    fresh_until: float


class KeyVerifier:
    def __init__(
        self, sessions: async_sessionmaker[AsyncSession], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._known: dict[bytes, _Known] = {}

    def remembered(self, text: str) -> bool:
        """True if the key was valid when it was last looked at."""
        return _digest(text) in self._known

    async def verify(self, text: str) -> Principal | Rejected:
        digest = _digest(text)
        known = self._known.get(digest)
        if known is not None and self._clock() < known.fresh_until:
            return known.principal
        asked_at = self._clock()  # before the query: what it finds may be outdated when it returns
        found = await self._look_up(parse(text))
        self._known.pop(digest, None)
        if isinstance(found, Principal):
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[digest] = _Known(found, asked_at + FRESH_SECONDS)
        return found

    async def _look_up(self, key: Key | None) -> Principal | Rejected:
        if key is None:
            return Rejected()
        async with self._sessions() as session:
            row = (await session.execute(_key(key.id))).one_or_none()
        # an unknown id is compared as well, so that the time taken does not tell it from a wrong secret
        matches = hmac.compare_digest(row.secret_sha256 if row else _NO_DIGEST, key.secret_sha256())
        if row is None:
            return Rejected()
        if not matches or not row.live:
            return Rejected(key.id, row.tenant_id)
        return Principal(key.id, row.tenant_id, frozenset(row.scopes), row.max_requests_per_minute)


def live() -> ColumnElement[bool]:
    """Keys that may be used; a tenant that is switched off has none."""
    return and_(
        ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.clock_timestamp())
    )


def _key(key_id: str) -> Select[str, bytes, list[str], int | None, bool]:
    return (
        select(
            ApiKey.tenant_id,
            ApiKey.secret_sha256,
            ApiKey.scopes,
            Tenant.max_requests_per_minute,
            and_(live(), Tenant.disabled_at.is_(None)).label("live"),
        )
        .join(Tenant, Tenant.id == ApiKey.tenant_id)
        .where(ApiKey.id == key_id)
    )


def _digest(text: str) -> bytes:
    """What is kept of a key in memory."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
