"""Webhooks over HTTP."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request, Response

from app.auth.principal import Caller
from app.contracts.codes import ProblemCode
from app.contracts.problem import refuse
from app.idempotency.dependency import OncePerKey
from app.idempotency.service import PROBLEMS
from app.pagination import Listing, PageQuery, listing, one_page
from app.problems import documented
from app.tables import Webhook, WebhookDelivery
from app.transaction import Transaction
from app.webhooks import service
from app.webhooks.egress import Egress
from app.webhooks.schemas import DeliveryRead, WebhookCreate, WebhookMade, WebhookRead


def _egress(request: Request) -> Egress:
    egress = cast("Egress | None", request.app.state.egress)
    if egress is None:
        raise refuse("webhooks_disabled", "This service sends no webhooks.")
    return egress


WayOut = Annotated[Egress, Depends(_egress)]

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], dependencies=[Depends(_egress)])

OFF: ProblemCode = "webhooks_disabled"


@router.post(
    "",
    status_code=201,
    response_model=WebhookMade,
    operation_id="create_webhook",
    responses=documented(OFF, "url_not_allowed", "concurrency_limit", "malformed_json", "body_too_large", *PROBLEMS),
)
async def create_webhook(
    body: WebhookCreate, response: Response, caller: Caller, session: Transaction, egress: WayOut, once: OncePerKey
) -> WebhookMade | Response:
    """Have events sent to a URL. This answer is the only one that shows the secret."""
    await egress.check(body.url)

    async def work() -> WebhookMade:
        row = await service.create(session, body, tenant_id=caller.tenant_id)
        response.headers["Location"] = f"/v1/webhooks/{row.id}"
        return WebhookMade.showing(row)

    return await once.run(body, work, stored=WebhookMade.without_secret)


@router.get(
    "",
    response_model=Listing[WebhookRead],
    operation_id="list_webhooks",
    responses=documented(OFF, "invalid_cursor"),
)
async def list_webhooks(page: PageQuery, caller: Caller, session: Transaction) -> dict[str, object]:
    """The tenant's webhooks, newest first."""
    statement = one_page(service.webhooks_of(caller.tenant_id), Webhook.id, page, prefix="whk")
    return listing([WebhookRead.of(row) for row in await session.scalars(statement)], page)


@router.get("/{webhook_id}", operation_id="get_webhook", responses=documented(OFF, "not_found"))
async def get_webhook(webhook_id: str, caller: Caller, session: Transaction) -> WebhookRead:
    """One webhook."""
    return WebhookRead.of(await service.get(session, webhook_id, tenant_id=caller.tenant_id))


@router.delete("/{webhook_id}", status_code=204, operation_id="delete_webhook", responses=documented(OFF, "not_found"))
async def delete_webhook(webhook_id: str, caller: Caller, session: Transaction) -> None:
    """Remove a webhook; what still waits to be sent to it is dropped."""
    await service.delete(session, webhook_id, tenant_id=caller.tenant_id)


@router.post(
    "/{webhook_id}/test",
    status_code=202,
    response_model=DeliveryRead,
    operation_id="test_webhook",
    responses=documented(OFF, "not_found", *PROBLEMS),
)
async def test_webhook(
    webhook_id: str, caller: Caller, session: Transaction, once: OncePerKey
) -> DeliveryRead | Response:
    """Have a `webhook.test` event sent. A disabled webhook that takes it is enabled again."""

    async def work() -> DeliveryRead:
        return DeliveryRead.model_validate(await service.test(session, webhook_id, tenant_id=caller.tenant_id))

    return await once.run(None, work)


@router.get(
    "/{webhook_id}/deliveries",
    response_model=Listing[DeliveryRead],
    operation_id="list_webhook_deliveries",
    responses=documented(OFF, "not_found", "invalid_cursor"),
)
async def list_webhook_deliveries(
    webhook_id: str, page: PageQuery, caller: Caller, session: Transaction
) -> dict[str, object]:
    """What was sent to a webhook, and what waits to be; newest first."""
    webhook = await service.get(session, webhook_id, tenant_id=caller.tenant_id)
    statement = one_page(service.deliveries_of(webhook), WebhookDelivery.id, page, prefix="whd")
    return listing([DeliveryRead.model_validate(row) for row in await session.scalars(statement)], page)
