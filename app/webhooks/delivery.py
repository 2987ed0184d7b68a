"""Sends what is due. Every API process does; claims keep them apart, so no leader is needed."""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from prometheus_client import Counter
from sqlalchemy import literal
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.jobs.schemas import JobRead
from app.tables import Job, Webhook, WebhookDelivery
from app.webhooks import attempts
from app.webhooks.attempts import Claim
from app.webhooks.egress import Egress, Undeliverable
from app.webhooks.signing import signed_headers

log = structlog.get_logger("lowbit.webhooks")

POLL_SECONDS = 1.0
MAX_UNDERWAY = 16
TIDY_SECONDS = 3600.0

GONE = 410
"""The answer that asks never to be called again."""

LOST = "lost"
"""The delivery was removed, or claimed by somebody else, before its outcome could be noted."""


@dataclass(frozen=True)
class Letter:
    """One delivery, ready to be sent."""

    claim: Claim
    url: str
    secret: bytes
    body: bytes

    @classmethod
    def of(cls, delivery: WebhookDelivery, webhook: Webhook, job: Job | None) -> "Letter":
        held = Claim(delivery.id, webhook.id, delivery.attempts)
        return cls(held, webhook.url, webhook.secret, _body(delivery, webhook, job))


class Post:
    """The sender of one process."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], egress: Egress, outcomes: Counter) -> None:
        self._sessions = sessions
        self._egress = egress
        self._outcomes = outcomes
        self._underway: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send until cancelled. What is under way then is sent again by somebody else, under the same id."""
        next_tidying = 0.0
        try:
            while True:
                try:
                    await self.send_due()
                    if time.monotonic() >= next_tidying:
                        next_tidying = time.monotonic() + TIDY_SECONDS
                        await self._tidy()
                except (DBAPIError, PoolTimeout, OSError) as error:
                    log.warning("webhooks postponed", error=type(error).__name__)
                except Exception:
                    log.exception("sending webhooks failed")
                await asyncio.sleep(POLL_SECONDS)
        finally:
            for task in self._underway:
                task.cancel()

    async def send_due(self) -> None:
        """Start sending what is due, as far as there is room."""
        room = MAX_UNDERWAY - len(self._underway)
        if room <= 0:
            return
        for letter in await self._claim(room):
            task = asyncio.create_task(self._send(letter))
            self._underway.add(task)
            task.add_done_callback(self._underway.discard)

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(*self._underway)

    async def _claim(self, limit: int) -> list[Letter]:
        async with self._sessions.begin() as session:
            claimed = [row.id for row in await session.scalars(attempts.claim(limit))]
            return [Letter.of(*row) for row in await session.execute(attempts.content(claimed))] if claimed else []

    async def _send(self, letter: Letter) -> None:
        held = letter.claim
        headers = signed_headers(
            letter.body, secret=letter.secret, message_id=held.delivery_id, timestamp=int(time.time())
        )
        status, failure = None, None
        try:
            status = await self._egress.post(letter.url, letter.body, headers)
            if not 200 <= status < 300:
                failure = f"The answer had the status {status}."
        except Undeliverable as error:
            failure = str(error)
        try:
            await self._note(held, status, failure)
        except (DBAPIError, PoolTimeout) as error:  # the claim runs out, and the receiver knows the id already
            log.warning("an attempt could not be noted", delivery_id=held.delivery_id, error=type(error).__name__)

    async def _note(self, held: Claim, status: int | None, failure: str | None) -> None:
        async with self._sessions.begin() as session:
            if failure is None and status is not None:
                outcome = await _note_success(session, held, status)
            else:
                outcome = await _note_failure(session, held, status, failure or "")
        self._outcomes.labels(outcome).inc()
        log.info("webhook sent", delivery_id=held.delivery_id, attempt=held.attempt, outcome=outcome, status=status)

    async def _tidy(self) -> None:
        async with self._sessions.begin() as session:
            await session.execute(attempts.forget_old())


async def _note_success(session: AsyncSession, held: Claim, status: int) -> str:
    noted = await session.scalar(attempts.delivered(held, response_status=status))
    await session.execute(attempts.webhook_works(held))
    return noted or LOST


async def _note_failure(session: AsyncSession, held: Claim, status: int | None, failure: str) -> str:
    noted = await session.scalar(attempts.failed(held, failure=failure, response_status=status))
    disabled_at = await session.scalar(attempts.webhook_fails(held, for_good=literal(status == GONE)))
    if disabled_at is not None:
        await session.execute(attempts.drop_waiting(held.webhook_id))
        log.warning("webhook disabled", webhook_id=held.webhook_id)
    if noted is None:
        return LOST
    return "given_up" if noted == "given_up" or disabled_at is not None else "retried"


def _body(delivery: WebhookDelivery, webhook: Webhook, job: Job | None) -> bytes:
    """The same bytes at every attempt: what they say is over when the delivery is made."""
    if job is None:
        return _event(delivery.event_type, delivery.created_at, {"webhook_id": webhook.id})
    return _event(delivery.event_type, delivery.created_at, JobRead.of(job).model_dump(mode="json"))


def _event(event_type: str, at: datetime, data: dict[str, Any]) -> bytes:
    timestamp = at.isoformat().replace("+00:00", "Z")
    return json.dumps({"type": event_type, "timestamp": timestamp, "data": data}).encode()
