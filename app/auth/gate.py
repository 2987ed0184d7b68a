"""Default deny: no request passes without a key, but for the few paths listed here. Routes cannot opt out."""

import hmac

import structlog
from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from starlette.types import ASGIApp, Receive, Scope, Send

from app.auth.keys import parse
from app.auth.principal import Principal
from app.contracts.problem import problem
from app.database import UNREACHABLE
from app.problems import send_problem
from app.tables import ApiKey

PUBLIC_PATHS = frozenset({"/", "/healthz", "/readyz", "/openapi.json"})
PUBLIC_PREFIXES = ("/problems/",)
"""Descriptions of problem codes: the address in a problem's `type`."""

_NO_DIGEST = bytes(32)


class Gate:
    def __init__(self, app: ASGIApp, *, sessions: async_sessionmaker[AsyncSession]) -> None:
        self.app = app
        self.sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or is_public(scope):
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no other protocol is spoken here
        given = _bearer(scope)
        if given is None:
            found = problem("missing_credentials", "The request carries no key.")
            await send_problem(found, scope, receive, send)
            return
        try:
            principal = await self._who(given)
        except UNREACHABLE:
            found = problem("service_unavailable", "Keys cannot be checked: the database is not reachable.")
            await send_problem(found, scope, receive, send)
            return
        if principal is None:
            found = problem("invalid_credentials", "The key is unknown, expired or revoked.")
            await send_problem(found, scope, receive, send)
            return
        scope["state"]["principal"] = principal
        structlog.contextvars.bind_contextvars(tenant_id=principal.tenant_id, key_id=principal.key_id)
        await self.app(scope, receive, send)

    async def _who(self, text: str) -> Principal | None:
        key = parse(text)
        if key is None:
            return None
        async with self.sessions() as session:
            row = (await session.execute(_live_key(key.id))).one_or_none()
        # an unknown id is compared as well, so that the time taken does not tell it from a wrong secret
        matches = hmac.compare_digest(row.secret_sha256 if row else _NO_DIGEST, key.secret_sha256())
        return Principal(key.id, row.tenant_id) if row and matches else None


def is_public(scope: Scope) -> bool:
    path = scope.get("path", "")
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIXES)


def _live_key(key_id: str) -> Select[str, bytes]:
    return select(ApiKey.tenant_id, ApiKey.secret_sha256).where(
        ApiKey.id == key_id,
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.clock_timestamp()),
    )


def _bearer(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = bytes(value).decode("latin-1").partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                return token.strip()
    return None
