"""What requests leave behind and nobody waits for: when keys were used, and which were turned away.

It is gathered in memory and written a few times a minute, so it costs a request nothing, and a flood of wrong keys
becomes a handful of entries with their number. A killed process loses at most `FLUSH_SECONDS` of it.
"""

import asyncio
from collections import Counter
from datetime import timedelta

import structlog
from sqlalchemy import Update, func, or_, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.contracts.codes import ProblemCode
from app.tables import DEFAULT_TENANT_ID, ApiKey, AuditEntry

log = structlog.get_logger("lowbit.audit")

FLUSH_SECONDS = 15.0
COARSE = timedelta(seconds=50)
"""A key's last use is not written again before this time is over: about once a minute."""
MAX_KINDS = 200
"""Kinds of rejection that are told apart between two writings."""
MAX_ADDRESSES = 5

_Kind = tuple[str, str | None, ProblemCode]


class Books:
    def __init__(self) -> None:
        self._used: set[str] = set()
        self._rejections: Counter[_Kind] = Counter()
        self._addresses: dict[_Kind, set[str]] = {}

    def used(self, key_id: str) -> None:
        self._used.add(key_id)

    def rejected(self, code: ProblemCode, address: str, *, tenant_id: str | None, key_id: str | None) -> None:
        """Count a request that was turned away. One whose key nobody owns is the operator's to see."""
        kind: _Kind = (tenant_id or DEFAULT_TENANT_ID, key_id, code)
        if kind not in self._rejections and len(self._rejections) >= MAX_KINDS:
            kind = (DEFAULT_TENANT_ID, None, code)
        self._rejections[kind] += 1
        addresses = self._addresses.setdefault(kind, set())
        if len(addresses) < MAX_ADDRESSES:
            addresses.add(address)

    async def write(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        """Bring what was gathered into the database. What cannot be written now is gathered further."""
        used, self._used = self._used, set()
        rejections, self._rejections = self._rejections, Counter()
        addresses, self._addresses = self._addresses, {}
        try:
            async with sessions.begin() as session:
                if used:
                    await session.execute(_last_used(used))
                session.add_all(_entry(kind, count, addresses[kind]) for kind, count in rejections.items())
        except (DBAPIError, PoolTimeout):
            self._used |= used
            self._rejections += rejections
            for kind, seen in addresses.items():
                self._addresses.setdefault(kind, set()).update(seen)
            raise


async def keep_books(books: Books, sessions: async_sessionmaker[AsyncSession]) -> None:
    """Write again and again, and once more when cancelled. An outage of the database is waited out."""
    try:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await _write_if_possible(books, sessions)
    finally:
        await _write_if_possible(books, sessions)


async def _write_if_possible(books: Books, sessions: async_sessionmaker[AsyncSession]) -> None:
    try:
        await books.write(sessions)
    except (DBAPIError, PoolTimeout) as error:
        log.warning("books are written later", error=type(error).__name__)


def _last_used(key_ids: set[str]) -> Update:
    stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.clock_timestamp() - COARSE)
    rows = update(ApiKey).where(ApiKey.id.in_(key_ids), stale)
    return rows.values(last_used_at=func.clock_timestamp()).execution_options(synchronize_session=False)


def _entry(kind: _Kind, count: int, addresses: set[str]) -> AuditEntry:
    tenant_id, key_id, code = kind
    detail = {"code": code, "count": count, "addresses": sorted(addresses)}
    return AuditEntry(tenant_id=tenant_id, key_id=key_id, action="rejected", subject=key_id, detail=detail)
