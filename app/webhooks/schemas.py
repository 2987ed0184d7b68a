"""Webhooks as users see them."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from app.tables import Webhook
from app.webhooks.destination import MAX_URL_CHARACTERS
from app.webhooks.signing import secret_text

EventType = Literal["job.succeeded", "job.failed", "job.cancelled"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
TEST_EVENT = "webhook.test"


class WebhookCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=MAX_URL_CHARACTERS)]
    event_types: Annotated[list[EventType], Field(min_length=1, max_length=len(EVENT_TYPES))] = list(EVENT_TYPES)

    @field_validator("event_types")
    @classmethod
    def _each_once(cls, value: list[EventType]) -> list[EventType]:
        return list(dict.fromkeys(value))


class WebhookRead(BaseModel):
    id: str
    object: Literal["webhook"] = "webhook"
    url: str
    event_types: list[EventType]
    status: Literal["enabled", "disabled"]
    failing_since: datetime | None = Field(description="The first of the failures since the last success.")
    created_at: datetime

    @classmethod
    def of(cls, row: Webhook) -> "WebhookRead":
        return cls.model_validate(_fields(row))


class WebhookMade(WebhookRead):
    secret: str | None = Field(description="Shown this once: what receivers check signatures with.")

    @classmethod
    def showing(cls, row: Webhook) -> "WebhookMade":
        return cls.model_validate({**_fields(row), "secret": secret_text(row.secret)})

    def without_secret(self) -> "WebhookMade":
        """For the store of repeated answers, which must not hold it."""
        return self.model_copy(update={"secret": None})


def _fields(row: Webhook) -> dict[str, object]:
    shared = {name: getattr(row, name) for name in ("id", "url", "event_types", "failing_since", "created_at")}
    return {**shared, "status": "disabled" if row.disabled_at else "enabled"}


class DeliveryRead(BaseModel):
    """One event on its way to one webhook. Its id is the `webhook-id` of every attempt."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    object: Literal["webhook_delivery"] = "webhook_delivery"
    webhook_id: str
    job_id: str | None
    event_type: str
    status: Literal["waiting", "delivered", "given_up"]
    attempts: int
    next_attempt_at: datetime | None
    response_status: int | None = Field(description="Of the last attempt that got an answer.")
    failure: str | None
    delivered_at: datetime | None
    created_at: datetime

    @field_validator("next_attempt_at")
    @classmethod
    def _only_if_waiting(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        return value if info.data.get("status") == "waiting" else None
