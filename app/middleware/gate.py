"""Default deny: no request passes without a key that may do what it asks, but for the few paths listed here.

Routes cannot opt out. What an address asks for is in `app.auth.scopes`; an address that is not there does not exist.
"""

from typing import NamedTuple

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from starlette.types import ASGIApp, Receive, Scope, Send

from app.audit.bookkeeping import Books
from app.auth.failures import FailureLimit
from app.auth.keys import parse
from app.auth.principal import Principal
from app.auth.scopes import required, rule_for
from app.auth.verification import KeyVerifier, Rejected
from app.contracts.problem import Problem, problem
from app.database import UNREACHABLE
from app.problems import send_problem

PUBLIC_PATHS = frozenset({"/", "/healthz", "/readyz", "/openapi.json"})
PUBLIC_PREFIXES = ("/problems/",)
"""Descriptions of problem codes: the address in a problem's `type`."""

FAILURE_RETRY_SECONDS = 10


class Admission(NamedTuple):
    """What the gate decides with."""

    verifier: KeyVerifier
    failures: FailureLimit
    books: Books

    @classmethod
    def of(cls, sessions: async_sessionmaker[AsyncSession], *, failures_per_minute: int) -> "Admission":
        return cls(KeyVerifier(sessions), FailureLimit(failures_per_minute), Books())


class Gate:
    def __init__(self, app: ASGIApp, *, admission: Admission, also_public: frozenset[str] = frozenset()) -> None:
        self.app = app
        self.admission = admission
        self.public_paths = PUBLIC_PATHS | also_public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or is_public(scope, self.public_paths):
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no other protocol is spoken here
        met = await self._admit(scope)
        if isinstance(met, Problem):
            headers = {"Retry-After": str(FAILURE_RETRY_SECONDS)} if met.status == 429 else None
            await send_problem(met, scope, receive, send, headers=headers)
            return
        scope["state"]["principal"] = met
        await self.app(scope, receive, send)

    async def _admit(self, scope: Scope) -> Principal | Problem:
        given = _bearer(scope)
        if given is None:
            return problem("missing_credentials", "The request carries no key.")
        try:
            found = await self._who(given, _address(scope))
        except UNREACHABLE:
            return problem("service_unavailable", "Keys cannot be checked: the database is not reachable.")
        return found if isinstance(found, Problem) else self._permit(found, scope)

    async def _who(self, given: str, address: str) -> Principal | Problem:
        verifier, failures, books = self.admission
        key = parse(given)
        key_id = key.id if key else "-"
        if not verifier.remembered(given) and failures.reached(address, key_id):
            return problem("rate_limited", "Too many keys from this address were not valid.")
        found = await verifier.verify(given)
        if isinstance(found, Rejected):
            failures.count(address, key_id)
            books.rejected("invalid_credentials", address, tenant_id=found.tenant_id, key_id=found.key_id)
            # one answer for whatever is wrong with it: which keys there are is nobody's business
            return problem("invalid_credentials", "The key is unknown, expired or revoked.")
        books.used(found.key_id)
        return found

    def _permit(self, caller: Principal, scope: Scope) -> Principal | Problem:
        structlog.contextvars.bind_contextvars(tenant_id=caller.tenant_id, key_id=caller.key_id)
        rule = rule_for(scope["path"])
        if rule is None:
            return problem("not_found", "There is nothing here.")
        wanted = required(rule, scope["method"])
        if wanted is None or caller.may(wanted):
            return caller
        self.admission.books.rejected("forbidden", _address(scope), tenant_id=caller.tenant_id, key_id=caller.key_id)
        return problem("forbidden", f"This needs a key with the scope `{wanted}`.")


def is_public(scope: Scope, paths: frozenset[str] = PUBLIC_PATHS) -> bool:
    path = scope.get("path", "")
    return path in paths or path.startswith(PUBLIC_PREFIXES)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "-"


def _bearer(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = bytes(value).decode("latin-1").partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                return token.strip()
    return None
