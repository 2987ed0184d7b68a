"""Keys over HTTP."""

from dataclasses import asdict

from fastapi import APIRouter, Response

from app.auth.principal import Caller
from app.idempotency.dependency import OncePerKey
from app.idempotency.service import PROBLEMS
from app.problems import documented
from app.quotas import service as quotas
from app.tables import ApiKey
from app.tokens import service
from app.tokens.me import MeRead
from app.tokens.schemas import TokenCreate, TokenList, TokenMade, TokenRead, TokenRotate
from app.transaction import Transaction

router = APIRouter(prefix="/v1", tags=["keys"])


@router.get("/me", operation_id="get_me", responses=documented())
async def get_me(caller: Caller, session: Transaction) -> MeRead:
    """What this key may do, and how much of its quotas the tenant uses."""
    key = await session.get_one(ApiKey, caller.key_id)
    used = await quotas.usage(session, caller.tenant_id)
    limits = await quotas.limits(session, caller.tenant_id)
    return MeRead.model_validate(
        {"tenant_id": caller.tenant_id, "key": TokenRead.of(key), "usage": asdict(used), "quotas": asdict(limits)}
    )


@router.post(
    "/tokens",
    status_code=201,
    response_model=TokenMade,
    operation_id="create_token",
    responses=documented("concurrency_limit", "malformed_json", "body_too_large", *PROBLEMS),
)
async def create_token(
    body: TokenCreate, response: Response, caller: Caller, session: Transaction, once: OncePerKey
) -> TokenMade | Response:
    """Make a key. This answer is the only one that shows it."""

    async def work() -> TokenMade:
        row, key = await service.create(session, body, tenant_id=caller.tenant_id, caller=caller)
        response.headers["Location"] = f"/v1/tokens/{row.id}"
        return TokenMade.showing(row, key)

    return await once.run(body, work, stored=TokenMade.without_key)


@router.get("/tokens", operation_id="list_tokens", responses=documented())
async def list_tokens(caller: Caller, session: Transaction) -> TokenList:
    """The tenant's keys that may be used, newest first."""
    return TokenList.of(list(await service.live_keys(session, caller.tenant_id)))


@router.get("/tokens/{token_id}", operation_id="get_token", responses=documented("not_found"))
async def get_token(token_id: str, caller: Caller, session: Transaction) -> TokenRead:
    """One key's facts."""
    return TokenRead.of(await service.get(session, token_id, tenant_id=caller.tenant_id))


@router.delete(
    "/tokens/{token_id}",
    status_code=204,
    operation_id="revoke_token",
    responses=documented("not_found", "resource_in_use"),
)
async def revoke_token(token_id: str, caller: Caller, session: Transaction) -> None:
    """Revoke a key. It is refused within two seconds."""
    await service.revoke(session, token_id, tenant_id=caller.tenant_id)


@router.post(
    "/tokens/{token_id}/rotate",
    status_code=201,
    response_model=TokenMade,
    operation_id="rotate_token",
    responses=documented(
        "not_found", "resource_in_use", "concurrency_limit", "malformed_json", "body_too_large", *PROBLEMS
    ),
)
async def rotate_token(
    token_id: str,
    response: Response,
    caller: Caller,
    session: Transaction,
    once: OncePerKey,
    body: TokenRotate | None = None,
) -> TokenMade | Response:
    """Make a key in place of this one, which still works for a grace time. This answer is the only one to show it."""
    grace_seconds = (body or TokenRotate()).grace_seconds

    async def work() -> TokenMade:
        row, key = await service.rotate(
            session, token_id, tenant_id=caller.tenant_id, caller=caller, grace_seconds=grace_seconds
        )
        response.headers["Location"] = f"/v1/tokens/{row.id}"
        return TokenMade.showing(row, key)

    return await once.run(body, work, stored=TokenMade.without_key)
