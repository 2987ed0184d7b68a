"""Every statement that changes a delivery. The database's clock is the only clock.

A claim takes a delivery for a while by moving its next attempt into the future, and counts the attempt. Whoever writes
how it went shows that count: when the row has moved on, the claim was lost and nothing is written.
"""

import random
from typing import NamedTuple

from sqlalchemy import Delete, Select, Update, case, delete, func, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from app.tables import Job, Webhook, WebhookDelivery
from app.webhooks.schemas import TEST_EVENT

LEASE_SECONDS = 30.0
"""Three times as long as a request may take. A sender that died leaves the delivery to the others after this time."""

RETRY_SECONDS = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 43200.0)
"""Pauses between attempts, 5 s to 12 h; after the eighth attempt, some 20 hours in, the delivery is given up."""
JITTER = 0.1
"""Pauses differ by as much, so that what failed together does not come back together."""

DISABLED_AFTER_SECONDS = 24 * 3600.0
"""A webhook that has only failed for so long is not used any more."""

KEPT_SECONDS = 30 * 24 * 3600.0


class Claim(NamedTuple):
    """What an attempt shows with every write."""

    delivery_id: str
    webhook_id: str
    attempt: int


def claim(limit: int) -> Update:
    """Take deliveries that are due: first those of webhooks that work, so that a dead one delays nobody else."""
    due = (
        select(WebhookDelivery.id)
        .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
        .where(WebhookDelivery.status == "waiting", WebhookDelivery.next_attempt_at <= func.clock_timestamp())
        .where(or_(Webhook.disabled_at.is_(None), WebhookDelivery.event_type == TEST_EVENT))
        .order_by(Webhook.failing_since.is_not(None), WebhookDelivery.next_attempt_at)
        .limit(limit)
        .with_for_update(of=WebhookDelivery, skip_locked=True)
        .scalar_subquery()
    )
    return (
        update(WebhookDelivery)
        .where(WebhookDelivery.id.in_(due))
        .values(attempts=WebhookDelivery.attempts + 1, next_attempt_at=_from_now(LEASE_SECONDS))
        .returning(WebhookDelivery)
        .execution_options(synchronize_session=False)
    )


def content(delivery_ids: list[str]) -> Select[WebhookDelivery, Webhook, Job | None]:
    """What is to be sent, and where."""
    return (
        select(WebhookDelivery, Webhook, Job)
        .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
        .outerjoin(Job, Job.id == WebhookDelivery.job_id)
        .where(WebhookDelivery.id.in_(delivery_ids))
    )


def delivered(held: Claim, *, response_status: int) -> Update:
    return _held(held).values(
        status="delivered", response_status=response_status, failure=None, delivered_at=func.clock_timestamp()
    )


def failed(held: Claim, *, failure: str, response_status: int | None) -> Update:
    """Plan the next attempt, or give up after the last one."""
    last = held.attempt > len(RETRY_SECONDS)
    pause = 0.0 if last else RETRY_SECONDS[held.attempt - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
    return _held(held).values(
        status="given_up" if last else "waiting",
        response_status=response_status,
        failure=failure,
        next_attempt_at=_from_now(pause),
    )


def webhook_works(held: Claim) -> Update:
    return (
        update(Webhook)
        .where(Webhook.id == held.webhook_id, or_(Webhook.failing_since.is_not(None), Webhook.disabled_at.is_not(None)))
        .values(failing_since=None, disabled_at=None)
    )


def webhook_fails(held: Claim, *, for_good: ColumnElement[bool]) -> Update:
    """Note the failure; switch the webhook off if it fails `for_good` or has failed for too long."""
    too_long = Webhook.failing_since < _from_now(-DISABLED_AFTER_SECONDS)
    return (
        update(Webhook)
        .where(Webhook.id == held.webhook_id, Webhook.disabled_at.is_(None))
        .values(
            failing_since=func.coalesce(Webhook.failing_since, func.clock_timestamp()),
            disabled_at=case((or_(for_good, too_long), func.clock_timestamp())),
        )
        .returning(Webhook.disabled_at)
    )


def drop_waiting(webhook_id: str) -> Update:
    """Nothing that waits is sent to a webhook that was switched off."""
    return (
        update(WebhookDelivery)
        .where(WebhookDelivery.webhook_id == webhook_id, WebhookDelivery.status == "waiting")
        .values(status="given_up", failure="The webhook was disabled.")
    )


def forget_old() -> Delete:
    ended = WebhookDelivery.status != "waiting"
    return delete(WebhookDelivery).where(ended, WebhookDelivery.created_at < _from_now(-KEPT_SECONDS))


def _held(held: Claim) -> Update:
    return (
        update(WebhookDelivery)
        .where(
            WebhookDelivery.id == held.delivery_id,
            WebhookDelivery.attempts == held.attempt,
            WebhookDelivery.status == "waiting",
        )
        .returning(WebhookDelivery.status)
        .execution_options(synchronize_session=False)
    )


def _from_now(seconds: float) -> ColumnElement[object]:
    return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
