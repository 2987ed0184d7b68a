"""What users do with webhooks: register, look, test, remove."""

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.problem import refuse
from app.ids import new_id
from app.quotas.service import lock_tenant
from app.tables import Webhook, WebhookDelivery
from app.webhooks.schemas import TEST_EVENT, WebhookCreate
from app.webhooks.signing import new_secret

MAX_WEBHOOKS = 20
"""Of one tenant: every ended job is sent to each of them."""


def webhooks_of(tenant_id: str) -> Select[Webhook]:
    return select(Webhook).where(Webhook.tenant_id == tenant_id)


def deliveries_of(webhook: Webhook) -> Select[WebhookDelivery]:
    return select(WebhookDelivery).where(
        WebhookDelivery.tenant_id == webhook.tenant_id, WebhookDelivery.webhook_id == webhook.id
    )


async def get(session: AsyncSession, webhook_id: str, *, tenant_id: str) -> Webhook:
    row = await session.scalar(webhooks_of(tenant_id).where(Webhook.id == webhook_id))
    if row is None:
        raise refuse("not_found", "There is no such webhook.")
    return row


async def create(session: AsyncSession, wanted: WebhookCreate, *, tenant_id: str) -> Webhook:
    """Register a webhook whose URL has been checked."""
    await lock_tenant(session, tenant_id)  # so that two requests cannot both be the last one
    count = await session.scalar(select(func.count()).select_from(webhooks_of(tenant_id).subquery()))
    if (count or 0) >= MAX_WEBHOOKS:
        raise refuse("concurrency_limit", f"A tenant may have {MAX_WEBHOOKS} webhooks.", hint="Delete one of them.")
    row = Webhook(
        id=new_id("whk"),
        tenant_id=tenant_id,
        url=wanted.url,
        secret=new_secret(),
        event_types=list(wanted.event_types),
    )
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return row


async def delete(session: AsyncSession, webhook_id: str, *, tenant_id: str) -> None:
    """Remove a webhook with everything that was, or was to be, sent to it."""
    await session.delete(await get(session, webhook_id, tenant_id=tenant_id))


async def test(session: AsyncSession, webhook_id: str, *, tenant_id: str) -> WebhookDelivery:
    """Have an event sent that says nothing. To a disabled webhook too: if that succeeds, it is enabled again."""
    webhook = await get(session, webhook_id, tenant_id=tenant_id)
    delivery = WebhookDelivery(id=new_id("whd"), tenant_id=tenant_id, webhook_id=webhook.id, event_type=TEST_EVENT)
    session.add(delivery)
    await session.flush()
    await session.refresh(delivery)
    return delivery
