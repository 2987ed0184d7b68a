"""What the API says about events."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, Field

from app.events.queries import Event
from app.jobs.events import EventType
from app.pagination import MAX_LIMIT


class EventRead(BaseModel):
    """One event, as `text/event-stream` has it on three lines."""

    id: str
    """What a client sends as `Last-Event-ID`, or as `after`, to continue behind this event."""
    object: Literal["event"] = "event"
    job_id: str
    seq: int
    """From 1, without gaps, within a job."""
    type: EventType
    data: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, event: Event, event_id: str) -> "EventRead":
        return cls(id=event_id, **event._asdict())


class _Oldest(BaseModel):
    model_config = {"extra": "forbid"}

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 100


class JobEventsQuery(_Oldest):
    after: Annotated[int | None, Field(ge=0, lt=2**63, description="The `seq` behind which to begin.")] = None


class EventsQuery(_Oldest):
    after: Annotated[str | None, Field(max_length=64, description="The `id` of the last event seen.")] = None


class LogQuery(BaseModel):
    model_config = {"extra": "forbid"}

    stage: Annotated[str | None, Field(max_length=32)] = None
    level: Annotated[Literal["info", "warning", "error"], Field(description="This level, and what is worse.")] = "info"
    after: Annotated[int, Field(ge=0, lt=2**63, description="The `seq` behind which to begin.")] = 0


JobEventsPage = Annotated[JobEventsQuery, Query()]
EventsPage = Annotated[EventsQuery, Query()]
LogPage = Annotated[LogQuery, Query()]
