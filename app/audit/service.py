"""The audit log. A write and its entry are one transaction: there is no change that nobody made."""

from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.principal import Principal, principal_of
from app.auth.scopes import is_write
from app.contracts.problem import MAX_QUOTED
from app.tables import AuditEntry


@dataclass
class _Remarks:
    """What the work says about the entry that the commit will make of it."""

    detail: dict[str, Any] = field(default_factory=dict)
    skipped: bool = False


def explain(session: AsyncSession, **detail: Any) -> None:  # noqa: ANN401  whatever JSON can say
    """Add facts to the entry of this transaction. Never a secret: the entry stays for good."""
    _remarks(session).detail.update(detail)


def leave_unaudited(session: AsyncSession) -> None:
    """This transaction changes nothing after all."""
    _remarks(session).skipped = True


def record(session: AsyncSession, request: Request, response: Response) -> None:
    """Add the entry of a request that writes. Requests that only read leave none."""
    remarks: _Remarks = session.info.pop(_Remarks, _Remarks())
    if remarks.skipped or not is_write(request.method, request.url.path):
        return
    caller: Principal = principal_of(request)
    session.add(
        AuditEntry(
            tenant_id=caller.tenant_id,
            key_id=caller.key_id,
            action=_action(request),
            subject=_subject(request, response),
            request_id=getattr(request.state, "request_id", None),
            detail=remarks.detail,
        )
    )


def entries(tenant_id: str | None, *, before: int | None, limit: int) -> Select[AuditEntry]:
    """The newest entries first: of one tenant, or of all for whoever may see them."""
    statement = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if tenant_id is not None:
        statement = statement.where(AuditEntry.tenant_id == tenant_id)
    return statement if before is None else statement.where(AuditEntry.id < before)


def _remarks(session: AsyncSession) -> _Remarks:
    remarks: _Remarks = session.info.setdefault(_Remarks, _Remarks())
    return remarks


def _action(request: Request) -> str:
    """The operation's name in the API's description, such as `create_job`."""
    route = request.scope["route"]
    return str(route.operation_id or route.name)


def _subject(request: Request, response: Response) -> str | None:
    """What was made, as the answer's Location names it, or what the address named."""
    made = response.headers.get("location")
    named = list(request.path_params.values())
    if made is not None:
        return made.rsplit("/", 1)[-1][:MAX_QUOTED]
    return str(named[-1])[:MAX_QUOTED] if named else None
