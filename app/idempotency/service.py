"""Runs the work of a creating request at most once for each Idempotency-Key.

The key's row is inserted before the work, in the same transaction: there is never work without its row, nor a row
without its work. A second request with the key waits for the first one's transaction at the table's primary key, and
then gives the answer that it finds there. Work that was refused leaves no row, so it may be tried again.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from psycopg.errors import LockNotAvailable
from pydantic import BaseModel
from sqlalchemy import Select, Update, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningInsert

from app.audit.service import leave_unaudited
from app.contracts.codes import ProblemCode
from app.contracts.problem import refuse
from app.idempotency.expiry import KEPT
from app.tables import IdempotencyKey

PROBLEMS: tuple[ProblemCode, ...] = (
    "idempotency_key_invalid",
    "idempotency_key_reused",
    "idempotency_in_progress",
)
"""For the documentation of operations that take the header."""

MAX_KEY_CHARACTERS = 255
WAIT_SECONDS = 2
"""How long a repetition waits for the first request. The wait holds a connection, and a query has to end before
`LOWBIT_QUERY_SECONDS`, so it cannot be long."""

REPLAYED = "Idempotency-Replayed"
_KEPT_HEADERS = ("location", "etag")

Shown = TypeVar("Shown", bound=BaseModel)


@dataclass(frozen=True)
class Once:
    """One request's promise. Endpoints get it as `OncePerKey` and return what `run` returns."""

    request: Request
    response: Response
    session: AsyncSession
    tenant_id: str
    key: str | None

    async def run(
        self,
        body: BaseModel | None,
        work: Callable[[], Awaitable[Shown]],
        *,
        stored: Callable[[Shown], Shown] = lambda shown: shown,
    ) -> Shown | Response:
        """Do the work, or repeat the answer that it got before. `stored` removes what no table may hold: secrets."""
        if self.key is None:
            return await work()
        asked = self._digest(body)
        if not await self._begin(self.key, asked):
            return await self._replay(self.key, asked)
        shown = await work()
        await self.session.execute(self._finished(self.key, stored(shown)))
        return shown

    async def _begin(self, key: str, asked: bytes) -> bool:
        """True if this request is the first one with its key."""
        wait = text(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'")
        await self.session.execute(wait)
        try:
            return bool(await self.session.scalar(_first(self.tenant_id, self._operation, key, asked)))
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            detail = f"The first request has taken longer than {WAIT_SECONDS} s so far."
            raise refuse("idempotency_in_progress", detail) from error

    async def _replay(self, key: str, asked: bytes) -> Response:
        row = (await self.session.scalars(_kept(self.tenant_id, self._operation, key))).one()
        if row.request_sha256 != asked:
            raise refuse("idempotency_key_reused", "The first request with this key had another body or address.")
        leave_unaudited(self.session)
        return JSONResponse(row.body, status_code=row.status_code, headers={**row.headers, REPLAYED: "true"})

    def _finished(self, key: str, shown: BaseModel) -> Update:
        headers = {name: self.response.headers[name] for name in _KEPT_HEADERS if name in self.response.headers}
        status = self.response.status_code or self.request.scope["route"].status_code
        row = update(IdempotencyKey).where(
            IdempotencyKey.tenant_id == self.tenant_id,
            IdempotencyKey.operation == self._operation,
            IdempotencyKey.key == key,
        )
        return row.values(status_code=status, headers=headers, body=shown.model_dump(mode="json"))

    @property
    def _operation(self) -> str:
        return f"{self.request.method} {self.request.scope['route'].path}"

    def _digest(self, body: BaseModel | None) -> bytes:
        """Of the address and of the body as it was understood: spacing and the order of fields do not matter."""
        said = [self.request.url.path, body.model_dump(mode="json") if body is not None else None]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()


def checked_key(header: str | None) -> str | None:
    """The header's value, or a refusal to guess what an odd one means."""
    if header is None:
        return None
    if not 1 <= len(header) <= MAX_KEY_CHARACTERS or not header.isascii() or not header.isprintable():
        raise refuse("idempotency_key_invalid", f"It has 1 to {MAX_KEY_CHARACTERS} printable ASCII characters.")
    return header


def _first(tenant_id: str, operation: str, key: str, asked: bytes) -> ReturningInsert[str]:
    """Take the key; no row comes back if it is taken. One that is too old counts as free."""
    fresh = {"request_sha256": asked, "status_code": 0, "headers": {}, "body": {}}
    taken = insert(IdempotencyKey).values(tenant_id=tenant_id, operation=operation, key=key, **fresh)
    return taken.on_conflict_do_update(
        index_elements=[IdempotencyKey.tenant_id, IdempotencyKey.operation, IdempotencyKey.key],
        set_={**fresh, "created_at": func.clock_timestamp()},
        where=IdempotencyKey.created_at < func.clock_timestamp() - KEPT,
    ).returning(IdempotencyKey.key)


def _kept(tenant_id: str, operation: str, key: str) -> Select[IdempotencyKey]:
    return select(IdempotencyKey).where(
        IdempotencyKey.tenant_id == tenant_id, IdempotencyKey.operation == operation, IdempotencyKey.key == key
    )
